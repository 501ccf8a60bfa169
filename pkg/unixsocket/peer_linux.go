package unixsocket

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// PeerPID returns the process at the other end of a unix socket: the one that connected,
// or for a client the one that listens. It is 0 where that is not known.
func PeerPID(conn net.Conn) int {
	raw, ok := conn.(syscall.Conn)
	if !ok {
		return 0
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = control.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}
