package fsutil

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// FollowDir calls changed with the name of each file that is put into a directory,
// replaced or removed, and with "" where some may have been missed: at first, and
// after more changes at once than the kernel keeps. It returns when ctx ends or the
// directory is removed.
func FollowDir(ctx context.Context, dir string, changed func(name string)) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("open inotify: %w", err)
	}
	file := os.NewFile(uintptr(fd), "inotify")
	defer func() { _ = file.Close() }()
	const events = unix.IN_CLOSE_WRITE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, dir, events); err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = file.Close() })
	defer stop()
	changed("")
	buffer := make([]byte, 64<<10)
	for {
		n, err := file.Read(buffer)
		if err != nil {
			return fmt.Errorf("watch %s: %w", dir, err)
		}
		if err := eachChange(buffer[:n], changed); err != nil {
			return fmt.Errorf("watch %s: %w", dir, err)
		}
	}
}

// eachChange splits what one read returned.
func eachChange(data []byte, changed func(name string)) error {
	for len(data) > 0 {
		var header unix.InotifyEvent
		size, err := binary.Decode(data, binary.NativeEndian, &header)
		if err != nil || int(header.Len) > len(data)-size {
			return fmt.Errorf("an event of %d bytes is cut short", len(data))
		}
		name, _, _ := bytes.Cut(data[size:size+int(header.Len)], []byte{0})
		data = data[size+int(header.Len):]
		switch {
		case header.Mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED) != 0:
			return os.ErrNotExist
		case header.Mask&unix.IN_Q_OVERFLOW != 0:
			changed("")
		default:
			changed(string(name))
		}
	}
	return nil
}
