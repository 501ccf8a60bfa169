package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// distributionConfig keeps everything in memory and listens on a unix socket, so
// that no port has to be guessed.
const distributionConfig = `version: 0.1
log: {level: warn}
storage: {inmemory: {}, delete: {enabled: true}}
http: {net: unix, addr: %s, secret: test}
`

// The one account of [StartPrivateDistribution]; htpasswd is what distribution has of it, as htpasswd -nbBC 4 prints it.
const (
	distributionUser     = "author"
	distributionPassword = "secret"
	htpasswd             = "author:$2a$04$uPI1FJPPZo3GIgWu/j7wZOZcyryDeEtYRmtZwprJSStKMkkksjkqG\n"
)

// StartDistribution starts the real CNCF distribution, which has no referrers
// API: artifacts are found by the tag schema alone. It is behind the same
// front as the others.
func StartDistribution(ctx context.Context) (*Registry, error) {
	return startDistribution(ctx, Login{})
}

// StartPrivateDistribution is the same for those alone who have the login, which
// distribution itself asks for.
func StartPrivateDistribution(ctx context.Context) (*Registry, Login, error) {
	login := Login{distributionUser, distributionPassword}
	registry, err := startDistribution(ctx, login)
	return registry, login, err
}

func startDistribution(ctx context.Context, login Login) (*Registry, error) {
	bin, err := Peers(ctx, "registry")
	if err != nil {
		return nil, err
	}
	work, err := newWorkDir()
	if err != nil {
		return nil, err
	}
	config, socket := filepath.Join(work.path, "registry.yml"), filepath.Join(work.path, "registry.sock")
	process := &Process{
		Path: filepath.Join(bin, "registry"),
		Args: []string{"serve", config},
		Env:  []string{"OTEL_TRACES_EXPORTER=none"},
		Log:  filepath.Join(work.path, "registry.log"),
	}
	stop := func() error { return errors.Join(process.Stop(5*time.Second), work.remove()) }
	text := fmt.Appendf(nil, distributionConfig, socket)
	if login != (Login{}) {
		accounts := filepath.Join(work.path, "htpasswd")
		text = fmt.Appendf(text, "auth: {htpasswd: {realm: test, path: %s}}\n", accounts)
		err = os.WriteFile(accounts, []byte(htpasswd), 0o600)
	}
	if err == nil {
		err = os.WriteFile(config, text, 0o600)
	}
	if err == nil {
		err = process.Start()
	}
	if err == nil {
		err = waitForSocket(ctx, process, socket)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start distribution: %w", err), stop())
	}
	handler, idle := unixProxy(socket)
	registry, err := newRegistry(handler)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	registry.login = login
	registry.closers = append([]func() error{stop, idle}, registry.closers...)
	return registry, nil
}

// unixProxy hands requests on to a server behind a unix socket, with the host
// name that the client used, for the URLs in the answers.
func unixProxy(socket string) (handler http.Handler, closeIdle func() error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", socket)
	}}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "distribution"})
			r.Out.Host = r.In.Host
		},
	}
	return proxy, func() error { transport.CloseIdleConnections(); return nil }
}

// waitForSocket waits until the socket accepts connections.
func waitForSocket(ctx context.Context, process *Process, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "unix", socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-process.Exited():
			return fmt.Errorf("it ended; its log ends with\n%s", process.Tail(15))
		case <-ctx.Done():
			return fmt.Errorf("%w; its log ends with\n%s", err, process.Tail(15))
		}
	}
}
