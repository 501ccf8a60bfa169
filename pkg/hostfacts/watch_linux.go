package hostfacts

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/pkg/hostfacts/operator"
)

// watchFiles calls changed when a file with facts is created, removed or written.
func watchFiles(ctx context.Context, dir string, log *slog.Logger, changed func(hint string)) {
	w, err := newFileWatch(dir)
	if err == nil {
		defer func() { _ = w.inotify.Close() }()
		stop := context.AfterFunc(ctx, func() { _ = w.inotify.Close() })
		defer stop()
		changed("watching begins") // earlier changes would be missed
		err = w.run(changed)
	}
	if err != nil && ctx.Err() == nil {
		log.Info("cannot watch facts files, facts are refreshed at the interval only", "error", err)
	}
}

// fileWatch watches names in directories: a watched file may not exist yet, nor
// the directories above it.
type fileWatch struct {
	inotify *os.File
	fd      int
	dir     string
	watches map[int]map[string]bool // watch -> names of interest; "" is every name
}

func newFileWatch(dir string) (*fileWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	w := &fileWatch{inotify: os.NewFile(uintptr(fd), "inotify"), fd: fd, dir: dir}
	if err := w.arm(); err != nil {
		_ = w.inotify.Close()
		return nil, err
	}
	return w, nil
}

// arm watches every directory that exists on the way to a file with facts. Those
// that are watched already stay so.
func (w *fileWatch) arm() error {
	w.watches = map[int]map[string]bool{}
	for _, target := range []string{
		operator.Dir + "/", operator.FeaturesDir + "/", "etc/os-release", "usr/lib/os-release",
	} {
		if err := w.armPath(target); err != nil {
			return err
		}
	}
	return nil
}

// armPath watches the parts of a path, each in the directory above it. A path
// with a slash at its end is a directory in which every name matters.
func (w *fileWatch) armPath(target string) error {
	const events = unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM |
		unix.IN_MOVED_TO | unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_ONLYDIR
	dir := w.dir
	for part := range strings.SplitSeq(target, "/") {
		watch, err := unix.InotifyAddWatch(w.fd, dir, events)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EACCES) {
			return nil // its parent is watched
		}
		if err != nil {
			return fmt.Errorf("watch %s: %w", dir, err)
		}
		if w.watches[watch] == nil {
			w.watches[watch] = map[string]bool{}
		}
		w.watches[watch][part] = true
		dir = filepath.Join(dir, part)
	}
	return nil
}

// run reads events until the file is closed.
func (w *fileWatch) run(changed func(hint string)) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := w.inotify.Read(buffer)
		if err != nil {
			return fmt.Errorf("read inotify: %w", err)
		}
		hint := ""
		for event := range inotifyEvents(buffer[:n]) {
			if w.concerns(event) {
				hint = event.name
			}
		}
		if hint == "" {
			continue
		}
		if err := w.arm(); err != nil {
			return err
		}
		changed("file " + hint)
	}
}

// concerns ignores other names in the same directories.
func (w *fileWatch) concerns(e inotifyEvent) bool {
	const lost = unix.IN_Q_OVERFLOW | unix.IN_DELETE_SELF | unix.IN_IGNORED
	names := w.watches[e.watch]
	return names[""] || names[e.name] || e.mask&lost != 0
}

type inotifyEvent struct {
	watch int
	mask  uint32
	name  string
}

// inotifyEvents splits what one read returned.
func inotifyEvents(data []byte) func(yield func(inotifyEvent) bool) {
	return func(yield func(inotifyEvent) bool) {
		for {
			var header unix.InotifyEvent
			size, err := binary.Decode(data, binary.NativeEndian, &header)
			if err != nil || int(header.Len) > len(data)-size {
				return
			}
			name, _, _ := bytes.Cut(data[size:size+int(header.Len)], []byte{0})
			e := inotifyEvent{watch: int(header.Wd), mask: header.Mask, name: cmp.Or(string(name), "directory")}
			if !yield(e) {
				return
			}
			data = data[size+int(header.Len):]
		}
	}
}
