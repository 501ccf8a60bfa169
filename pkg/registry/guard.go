package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// errInside marks a request that a registry sent to where no registry is.
var errInside = errors.New("is an address of this machine or of its network link, where a registry may not send requests")

// A pull reaches out to the hosts that its reference and hosts.toml name. From
// there a registry may send it on, by a redirect or by the realm of a
// challenge, and so have this daemon, which runs as root on every node, ask
// whomever it likes. What only this machine can reach is therefore out of
// bounds: a token of the cloud's metadata service, a debug port on loopback.
// Addresses of private networks are not: many a registry lives there.

// away carries requests to hosts that neither reference nor hosts.toml named.
// The address is checked as it is dialled, so that no answer of a name server
// gets around it.
func away(base *http.Transport, forbidden func(netip.Addr) bool) *http.Transport {
	t := base.Clone()
	t.Proxy = nil // a request by way of a proxy is not carried here
	t.DialContext = (&net.Dialer{
		Timeout: 30 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			dialled, err := netip.ParseAddrPort(address)
			if err != nil || forbidden(dialled.Addr()) {
				return errInside // with the address, which net.OpError adds
			}
			return nil
		},
	}).DialContext
	return t
}

// carrier picks who sends a request. By way of a proxy, the name is the proxy's
// to resolve, and only the URL can be checked.
func (t *transport) carrier(req *http.Request) (http.RoundTripper, error) {
	if !leads(req.Context(), req.URL) {
		return t.outer, nil
	}
	if addr, err := netip.ParseAddr(req.URL.Hostname()); err == nil && t.forbidden(addr) || isLocalhost(req.URL.Hostname()) {
		return nil, fmt.Errorf("%s %w", req.URL.Hostname(), errInside)
	}
	if t.base.Proxy != nil {
		if proxy, err := t.base.Proxy(req); proxy != nil || err != nil {
			return t.outer, err
		}
	}
	return t.away, nil
}

// originKey is the context key of the host that a request was first meant for.
type originKey struct{}

// leads reports whether a request leads away from the host that it was meant
// for. Other ports of it do not, nor do other services of this machine when the
// registry is one itself.
func leads(ctx context.Context, to *url.URL) bool {
	origin, _ := ctx.Value(originKey{}).(string)
	from := (&url.URL{Host: origin}).Hostname()
	if strings.EqualFold(from, to.Hostname()) {
		return false
	}
	return !isLoopback(from) || !isLoopback(to.Hostname())
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return isLocalhost(host) || err == nil && addr.Unmap().IsLoopback()
}

func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// isInside reports whether an address is one of this machine, of its link or of
// a service that clouds offer to it alone.
func isInside(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	switch {
	case addr.IsLoopback(), addr.IsUnspecified(), addr.IsLinkLocalUnicast(), addr.IsMulticast():
		return true
	case netip.MustParsePrefix("64:ff9b::/96").Contains(addr): // IPv4 by way of NAT64
		b := addr.As16()
		return isInside(netip.AddrFrom4([4]byte(b[12:])))
	}
	for _, prefix := range [...]string{
		"0.0.0.0/8", "255.255.255.255/32", // this host, this link
		"100.100.100.200/32",            // Alibaba Cloud
		"168.63.129.16/32",              // Azure
		"192.0.0.192/32",                // Oracle Cloud
		"fd00:ec2::/32", "fd20:ce::/32", // AWS and Google Cloud
	} {
		if netip.MustParsePrefix(prefix).Contains(addr) {
			return true
		}
	}
	return false
}
