package systemd

import (
	"fmt"
	"log/slog"
	"net"
	"path/filepath"

	"github.com/coreos/go-systemd/v22/activation"
)

// Socket returns the unix socket that the service manager activated (LISTEN_FDS), or
// nil without socket activation. The socket's file, its owner and its mode belong to
// the manager: closing the listener leaves them alone.
func Socket(log *slog.Logger) (*net.UnixListener, error) {
	files := activation.Files(true)
	if len(files) == 0 {
		return nil, nil //nolint:nilnil // no socket activation
	}
	for _, more := range files[1:] {
		log.Warn("ignoring an extra activated socket, want one", "name", more.Name())
		_ = more.Close()
	}
	file := files[0]
	defer func() { _ = file.Close() }() // the listener has its own copy
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("use activated socket %s: %w", file.Name(), err)
	}
	socket, ok := listener.(*net.UnixListener)
	if !ok || !filepath.IsAbs(socket.Addr().String()) { // TCP, or without a file
		_ = listener.Close()
		return nil, fmt.Errorf("use activated socket %s: it listens on %s %s, want ListenStream= with a path",
			file.Name(), listener.Addr().Network(), listener.Addr())
	}
	return socket, nil
}
