package health

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefit/imagefit/internal/testkit"
)

// get asks over the network.
func get(t *testing.T, network, address, path string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	resp, err := client.Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// await waits until the address accepts connections.
func await(t *testing.T, network, address string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial(network, address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// free is a TCP address that is not in use.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func TestRunServesUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "http.sock")
	tcp := free(t)
	for name, test := range map[string]struct{ listen, network, address string }{
		"unix": {"unix://" + socket, "unix", socket},
		"tcp":  {tcp, "tcp", tcp},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // the second finds the address free again
				s := newServer(t, discard())
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { s.Run(ctx, test.listen); close(done) }()
				await(t, test.network, test.address)
				if code, body := get(t, test.network, test.address, "/livez"); code != 200 || body != "ok\n" {
					t.Errorf("%d %q", code, body)
				}
				idle, err := net.Dial(test.network, test.address) // sends nothing
				if err != nil {
					t.Fatal(err)
				}
				cancel()
				<-done
				_ = idle.Close()
				if conn, err := net.Dial(test.network, test.address); err == nil {
					_ = conn.Close()
					t.Error("the address is still in use")
				}
			}
		})
	}
	newServer(t, discard()).Run(t.Context(), "") // returns at once
}

// occupied is a TCP address in use, and a function that frees it.
func occupied(t *testing.T) (address string, release func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	release = func() { _ = listener.Close() }
	t.Cleanup(release)
	return listener.Addr().String(), release
}

func TestAddressInUseIsLoggedOnce(t *testing.T) {
	t.Parallel()
	address, _ := occupied(t)
	synctest.Test(t, func(t *testing.T) {
		out := new(testkit.Log)
		s := newServer(t, slog.New(slog.NewTextHandler(out, nil)))
		ctx, cancel := context.WithTimeout(t.Context(), 10*retryInterval)
		defer cancel()
		s.Run(ctx, address)
		if got := out.Count("level=ERROR"); got != 1 || out.Count(address) == 0 || out.Count("in use") == 0 {
			t.Errorf("%d errors are logged: %s", got, out.String())
		}
	})
}

func TestAddressInUseIsServedWhenItIsFree(t *testing.T) {
	t.Parallel()
	address, release := occupied(t)
	out := new(testkit.Log)
	s := newServer(t, slog.New(slog.NewTextHandler(out, nil)))
	s.retry = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx, address); close(done) }()
	for deadline := time.Now().Add(10 * time.Second); out.Count("in use") == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no error is logged")
		}
	}
	release()
	await(t, "tcp", address)
	if code, body := get(t, "tcp", address, "/livez"); code != 200 || body != "ok\n" {
		t.Errorf("%d %q", code, body)
	}
	cancel()
	<-done
}

func TestInvalidRequestsAndIdleConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, discard())
	socket := filepath.Join(t.TempDir(), "http.sock")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx, "unix://"+socket); close(done) }()
	await(t, "unix", socket)
	t.Cleanup(func() { cancel(); <-done })
	for name, test := range map[string]struct{ request, want string }{
		"long headers": {"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 4*maxHeader) + "\r\n\r\n", "431"},
		"no HTTP":      {"\x00\x01\x02\r\n\r\n", "400"},
		"two hosts":    {"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
	} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(conn, test.request) }() // it may be cut off
		answer, _ := io.ReadAll(conn)
		_ = conn.Close()
		if !strings.HasPrefix(string(answer), "HTTP/1.1 "+test.want) {
			t.Errorf("%s: %q", name, answer)
		}
	}
}

// TestConnectionsThatSendNothingBlockNoClient: anyone on the node may open them.
func TestConnectionsThatSendNothingBlockNoClient(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	serving := make(chan struct{})
	s := New(Options{Log: discard(), Status: func() Status { return Status{} }, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(serving)
		<-release
		_, _ = io.WriteString(w, "late\n")
	})})
	t.Cleanup(s.Close)
	address := free(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx, address); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	await(t, "tcp", address)
	slow := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			slow <- err.Error()
			return
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		slow <- string(body)
	}()
	<-serving
	for _, sent := range []string{"", "GET /livez HTTP/1.1\r\nHost: localhost\r\n"} {
		for range 2 * maxConns {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			_, _ = io.WriteString(conn, sent)
		}
		start := time.Now()
		if code, _ := get(t, "tcp", address, "/livez"); code != 200 || time.Since(start) > headerTime/2 {
			t.Errorf("after connections with %q: %d in %s", sent, code, time.Since(start))
		}
	}
	close(release)
	if got := <-slow; got != "late\n" {
		t.Errorf("a request that was served meanwhile: %q", got)
	}
}

// TestForeignHostsAreRefusedOnThisMachinesAddress: a page in a browser on the node must not read the
// node's state by a name that resolves to the address.
func TestForeignHostsAreRefusedOnThisMachinesAddress(t *testing.T) {
	t.Parallel()
	for address, hosts := range map[string]map[string]int{
		"127.0.0.1:9460": {
			"127.0.0.1:9460": 200, "localhost:9460": 200, "LOCALHOST": 200, "localhost.": 200, "[::1]:9460": 200, "10.1.2.3": 200, "[fe80::1]": 200, "": 200,
			"attacker.example:9460": 403, "attacker.example": 403, "localhost.attacker.example": 403, "127.0.0.1.attacker.example": 403, "xlocalhost": 403,
		},
		"localhost:9460":      {"attacker.example": 403, "localhost:1": 200},
		"[::1]:9460":          {"attacker.example": 403, "[::1]:9460": 200},
		"0.0.0.0:9460":        {"node-1.example:9460": 200},
		":9460":               {"node-1.example:9460": 200},
		"node-1.example:9460": {"node-1.example:9460": 200, "10.1.2.3:9460": 200},
		"unix:///run/x.sock":  {"any": 200},
	} {
		handler := knownHost(address, newServer(t, discard()).handler)
		for host, want := range hosts {
			request, answer := httptest.NewRequest(http.MethodGet, "/livez", nil), httptest.NewRecorder()
			request.Host = host
			if handler.ServeHTTP(answer, request); answer.Code != want {
				t.Errorf("at %s for %q: %d, want %d", address, host, answer.Code, want)
			}
		}
	}
}
