package health

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// knownHost refuses requests by names that are not this machine's, where the address is
// of this machine alone: a web page in a browser here could have its own name resolve to
// that address.
func knownHost(address string, handler http.Handler) http.Handler {
	host, _, err := net.SplitHostPort(address)
	if err != nil || !isLoopback(host) {
		return handler // a unix socket, or other machines reach it anyway
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.Host
		if name, _, err := net.SplitHostPort(asked); err == nil {
			asked = name
		}
		_, notIP := netip.ParseAddr(strings.Trim(asked, "[]"))
		if notIP != nil && !isLoopback(asked) && asked != "" {
			reply(w, http.StatusForbidden, "this address answers to localhost and to IP addresses only\n")
			return
		}
		handler.ServeHTTP(w, r)
	})
}

func isLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}
