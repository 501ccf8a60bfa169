package critest

import (
	"bytes"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// StartStrict serves a runtime at path as CRI-O does, which tells gRPC from HTTP/1 on
// its one socket by the first headers of a connection: only exactly
// "content-type: application/grpc" is gRPC, and other connections are closed.
func StartStrict(t testing.TB, path string, runtime *Runtime) {
	t.Helper()
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, runtime)
	runtimeapi.RegisterImageServiceServer(server, runtime)
	serve(t, path, server, strict)
}

// StartStrictRaw serves as [StartStrict] and handles calls as [StartRaw].
func StartStrictRaw(t testing.TB, path string, handler func(grpc.ServerStream) error) {
	t.Helper()
	serve(t, path, rawServer(handler), strict)
}

// strictListener hands on the connections that are gRPC to the letter.
type strictListener struct {
	net.Listener
	matched chan net.Conn
	done    chan struct{}
}

func strict(inner net.Listener) net.Listener {
	l := &strictListener{Listener: inner, matched: make(chan net.Conn), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for {
			conn, err := inner.Accept()
			if err != nil {
				return
			}
			go l.sort(conn)
		}
	}()
	return l
}

func (l *strictListener) sort(conn net.Conn) {
	var read bytes.Buffer
	if !plainGRPC(io.TeeReader(conn, &read), conn) {
		_ = conn.Close()
		return
	}
	select {
	case l.matched <- &replayed{Conn: conn, from: io.MultiReader(&read, conn)}:
	case <-l.done:
		_ = conn.Close()
	}
}

// Accept returns the next connection that is gRPC.
func (l *strictListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.matched:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// replayed is a connection whose first bytes were read already.
type replayed struct {
	net.Conn
	from io.Reader
}

func (c *replayed) Read(b []byte) (int, error) { return c.from.Read(b) }

// plainGRPC reads until the end of the first headers and reports whether they have
// exactly the content type. It answers settings, since clients wait for that.
func plainGRPC(r io.Reader, w io.Writer) bool {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(r, preface); err != nil || string(preface) != http2.ClientPreface {
		return false
	}
	framer := http2.NewFramer(w, r)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return false
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() && framer.WriteSettings() != nil {
				return false
			}
		case *http2.MetaHeadersFrame:
			for _, field := range frame.Fields {
				if field.Name == "content-type" {
					return field.Value == "application/grpc"
				}
			}
			return false
		}
	}
}
