package hostfacts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxUevent is more than the kernel ever sends at once.
const maxUevent = 8 << 10

// watchDevices calls changed when modules and devices come and go. Where there are
// no events, as in some containers, only the interval refreshes facts.
func watchDevices(ctx context.Context, log *slog.Logger, changed func(hint string)) {
	err := listenUevents(ctx, func(e uevent) {
		if e.concernsFacts() {
			changed(e.action + " " + e.subsystem)
		}
	})
	if err != nil && ctx.Err() == nil {
		log.Info("cannot receive kernel device events, facts are refreshed at the interval only", "error", err)
	}
}

// listenUevents calls handle for every event until ctx ends.
func listenUevents(ctx context.Context, handle func(uevent)) error {
	socket, err := openUevents()
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	defer stop()
	conn, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	buffer := make([]byte, maxUevent)
	for {
		n, from, err := receive(conn, buffer)
		switch {
		case errors.Is(err, unix.ENOBUFS): // more came than was read
			handle(uevent{action: "many", subsystem: "module"})
		case err != nil:
			return fmt.Errorf("read device events: %w", err)
		default:
			sender, ok := from.(*unix.SockaddrNetlink)
			if e, isEvent := parseUevent(buffer[:n]); isEvent && ok && sender.Pid == 0 { // from the kernel
				handle(e)
			}
		}
	}
}

// openUevents returns the socket as a file, so that closing it ends a read.
func openUevents() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("open device events: %w", err)
	}
	const kernelGroup = 1
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open device events: %w", err)
	}
	return os.NewFile(uintptr(fd), "uevents"), nil
}

func receive(conn syscall.RawConn, buffer []byte) (n int, from unix.Sockaddr, err error) {
	waitErr := conn.Read(func(fd uintptr) bool {
		n, from, err = unix.Recvfrom(int(fd), buffer, 0)
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	if waitErr != nil {
		return 0, nil, waitErr
	}
	return n, from, err
}
