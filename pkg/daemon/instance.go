package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// warnOfAnother logs if another instance of the program runs with this state directory.
// Neither is stopped: two share their files without harm. release makes room for the next.
//
// An abstract socket is the mark: it goes with its process, and unlike a locked file
// does not keep the file system of the state directory busy.
func warnOfAnother(program, stateDir string, log *slog.Logger) (release func()) {
	sum := sha256.Sum256([]byte(stateDir))
	address := &net.UnixAddr{Name: "@imagefit/" + program + "/" + hex.EncodeToString(sum[:8]), Net: "unix"}
	mark, err := net.ListenUnix("unix", address)
	switch {
	case err == nil:
		return func() { _ = mark.Close() }
	case errors.Is(err, syscall.EADDRINUSE):
		log.Warn("another instance of this daemon runs, stop one of them", "program", program, "pid", listening(address.Name), "state_dir", stateDir)
	default:
		log.Debug("cannot tell whether another instance runs", "error", err)
	}
	return func() {}
}

// listening is the process that listens on a socket, 0 where it does not say.
func listening(name string) int {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "unix", name)
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close() }()
	return unixsocket.PeerPID(conn)
}
