package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain has names below inside.test resolve to 127.0.0.1, as those of any
// stranger may, and an HTTP proxy for names below proxied.test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(surroundings{m}) }

type surroundings struct{ m *testing.M }

func (s surroundings) Run() int {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); resolve(conn) }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	proxied := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.Header.Set("X-Proxied", r.In.Host)
		r.Out.URL.Host = "127.0.0.1:" + r.In.URL.Port()
	}}
	proxy := httptest.NewServer(proxied)
	for key, value := range map[string]string{"HTTP_PROXY": proxy.URL, "NO_PROXY": "inside.test"} {
		if err := os.Setenv(key, value); err != nil {
			panic(err)
		}
	}
	code := s.m.Run()
	proxy.Close()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	_ = conn.Close()
	<-done
	return code
}

// resolve answers every question for an IPv4 address with 127.0.0.1, and others
// with nothing.
func resolve(conn net.PacketConn) {
	query := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(query)
		if err != nil {
			return
		}
		const header = 12
		end := header + bytes.IndexByte(query[header:n], 0) + 5 // behind name, type and class
		answer := slices.Clone(query[:end])
		copy(answer[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
		if binary.BigEndian.Uint16(query[end-4:]) == 1 {
			answer[7] = 1
			answer = append(answer, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
		}
		_, _ = conn.WriteTo(answer, from)
	}
}

// at is repository "app" of a stub under a name of its own.
func at(t *testing.T, s *stub, name string) (*Registry, *Repository) {
	t.Helper()
	r := testRegistry(t, Options{HostsPath: hostsFile(t, fmt.Sprintf("server = %q\n[header]\nX-Site = \"a\"\n", s.named(name)))})
	return r, repository(t, r, "registry.test/app", &Auth{Username: "u", Password: secret})
}

// named is the stub's URL with another host name.
func (s *stub) named(name string) string {
	return "http://" + net.JoinHostPort(name, s.port())
}

func (s *stub) port() string {
	_, port, _ := net.SplitHostPort(s.host())
	return port
}

// A registry may send its clients on, but not to what only this machine reaches.
func TestRegistriesCannotSendRequestsToThisMachine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		registry, to string // host names; the second has a port of its own
		allowed      bool
	}{
		{"loopback to loopback", "127.0.0.1", "127.0.0.1", true},
		{"loopback to localhost", "127.0.0.1", "localhost", true},
		{"localhost to loopback", "localhost", "127.0.0.1", true},
		{"another port of the same name", "registry.inside.test", "registry.inside.test", true},
		{"the same name in capitals", "registry.inside.test", "REGISTRY.inside.test", true},
		{"loopback", "registry.inside.test", "127.0.0.1", false},
		{"loopback as IPv6", "registry.inside.test", "::ffff:127.0.0.1", false},
		{"localhost", "registry.inside.test", "localhost", false},
		{"no address", "registry.inside.test", "0.0.0.0", false},
		{"a name for loopback", "registry.inside.test", "other.inside.test", false},
		{"a name for loopback, of a registry on loopback", "127.0.0.1", "other.inside.test", false},
		{"by way of a proxy", "registry.proxied.test", "storage.proxied.test", true},
		{"by way of a proxy to the metadata service", "registry.proxied.test", "169.254.169.254", false},
		{"by way of a proxy to localhost", "registry.proxied.test", "localhost", false},
		{"around the proxy to loopback", "registry.proxied.test", "other.inside.test", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, other := newStub(t), newStub(t)
			desc := s.put("app/blobs/"+descOf("content").Digest.String(), "x/y", []byte("content"))
			other.put("/elsewhere", "x/y", []byte("content"))
			other.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					fmt.Fprint(w, `{"token": "t", "access_token": "t"}`)
				}
				return r.URL.Path == "/token"
			}
			sends := map[string]func(w http.ResponseWriter, r *http.Request) bool{
				"redirect": func(w http.ResponseWriter, r *http.Request) bool {
					http.Redirect(w, r, other.named(tt.to)+"/elsewhere", http.StatusTemporaryRedirect)
					return true
				},
				"realm": func(w http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("Authorization") == "" {
						w.Header().Set("WWW-Authenticate", `Bearer realm="`+other.named(tt.to)+`/token",service="x"`)
						w.WriteHeader(http.StatusUnauthorized)
					}
					return r.Header.Get("Authorization") == ""
				},
			}
			for way, hook := range sends {
				s.hook = hook
				before := len(other.requests())
				_, repo := at(t, s, tt.registry)
				_, err := repo.Blob(t.Context(), desc)
				if asked := len(other.requests()) - before; (err == nil) != tt.allowed || (asked > 0) != tt.allowed {
					t.Errorf("%s: %v, with %d requests", way, err, asked)
				}
				if !tt.allowed && (!errors.Is(err, errInside) || !strings.Contains(err.Error(), "where a registry may not send requests") ||
					strings.Contains(err.Error(), secret)) {
					t.Errorf("%s: %v", way, err)
				}
			}
		})
	}
}

// What carries requests away works, and keeps what must stay behind.
func TestRequestsLeaveTheRegistryOnlyForPublicAddresses(t *testing.T) {
	t.Parallel()
	s, other := newStub(t), newStub(t)
	desc := descOf("content")
	other.put("/elsewhere", "x/y", []byte("content"))
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.named("storage.inside.test")+"/elsewhere", http.StatusTemporaryRedirect)
		return true
	}
	r, _ := at(t, s, "registry.inside.test")
	r.transports.forbidden = func(addr netip.Addr) bool { return addr != netip.MustParseAddr("127.0.0.1") }
	if _, err := repository(t, r, "registry.test/app2", nil).Blob(t.Context(), desc); err == nil {
		t.Error("an earlier transport was taken: this test proves nothing")
	}
	r.Close() // drops the transports made with the rule as it was
	if _, err := repository(t, r, "registry.test/app", &Auth{Username: "u", Password: secret}).Blob(t.Context(), desc); err != nil {
		t.Error(err)
	}
	for _, header := range []string{"Authorization", "X-Site"} {
		if got := other.headers(header); !slices.Equal(got, []string{""}) {
			t.Errorf("the other host saw %s %q", header, got)
		}
	}
}

func TestAddressesOfThisMachineAreRecognised(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"127.0.0.1": true, "127.255.0.1": true, "::1": true, "::ffff:127.0.0.1": true,
		"0.0.0.0": true, "0.1.2.3": true, "::": true, "255.255.255.255": true, "224.0.0.1": true, "ff02::1": true,
		"169.254.169.254": true, "169.254.20.10": true, "fe80::1": true, "fe80::1%eth0": true,
		"::ffff:169.254.169.254": true, "64:ff9b::a9fe:a9fe": true, "64:ff9b::7f00:1": true,
		"fd00:ec2::254": true, "fd20:ce::254": true, "100.100.100.200": true, "168.63.129.16": true, "192.0.0.192": true,
		"10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "100.64.0.1": false, "fd12:3456::1": false,
		"192.0.2.1": false, "2001:db8::1": false, "64:ff9b::c000:201": false,
	} {
		if got := isInside(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}
