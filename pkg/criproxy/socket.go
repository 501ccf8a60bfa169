package criproxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxSocketPath is what fits into sun_path with its final zero and the suffix under
	// which the socket is made.
	maxSocketPath = 108 - 1 - len(newSuffix)
	newSuffix     = "~"

	socketMode = 0o660
	lockWait   = 5 * time.Second
	followPace = time.Second
)

// ParseEndpoint returns the path of a socket given as unix:///path or as a
// plain absolute path.
func ParseEndpoint(endpoint string) (string, error) {
	path, isURL := strings.CutPrefix(endpoint, "unix://")
	if scheme, _, ok := strings.Cut(endpoint, "://"); ok && !isURL {
		return "", fmt.Errorf("parse endpoint %q: scheme %q is not supported, only unix:///path is", endpoint, scheme)
	}
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) || strings.HasSuffix(path, "/") {
		return "", fmt.Errorf("parse endpoint %q: want unix:///path or an absolute path of a socket", endpoint)
	}
	return filepath.Clean(path), nil
}

// Listen makes the socket at path, with mode 0660, and listens on it. A socket file
// left over from a process that is gone is replaced; one on which somebody listens, and
// any other kind of file, is an error.
//
// The socket is made under another name and then renamed, so that nobody finds it before it is
// ready. All of that happens under a lock on the directory: of two processes
// that start at once the second finds the first one listening. There is no lock file to go stale.
func Listen(path string) (*socket, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("listen on %s: the path has %d bytes, a socket's path can have at most %d", path, len(path), maxSocketPath)
	}
	if err := makeParent(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	unlock, err := lockDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	defer unlock()
	if err := checkFree(path); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	listener, err := bind(path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return listener, nil
}

func makeParent(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755) // whatever the umask
}

// lockDir takes the lock on a directory that all proxies take that put a socket there.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(10 * time.Millisecond) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if err != unix.EWOULDBLOCK || time.Now().After(end) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
	}
}

// checkFree returns nil if path does not exist or is a socket on which nobody listens.
func checkFree(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("another process is listening on %s", path)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return nil
	}
	// Somebody may well be there: a full queue, for one, gives EAGAIN.
	return fmt.Errorf("check whether somebody listens on %s: %w", path, err)
}

// bind makes the socket and moves it to path, over a stale one.
func bind(path string) (_ *socket, err error) {
	temp := path + newSuffix
	if info, err := os.Lstat(temp); err == nil && info.Mode().Type() == fs.ModeSocket {
		_ = os.Remove(temp) // Left by a process that died in this function: the lock is ours.
	}
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		// Linux gives the file the mode that the socket has: so not even
		// under the other name can anybody connect who should not.
		return conn.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), socketMode) })
	}}
	listener, err := config.Listen(context.Background(), "unix", temp)
	if err != nil {
		return nil, err
	}
	inner := listener.(*net.UnixListener)
	inner.SetUnlinkOnClose(false)
	defer func() {
		if err != nil {
			_ = inner.Close()
			_ = os.Remove(temp)
		}
	}()
	if err := os.Chmod(temp, socketMode); err != nil { // whatever the umask
		return nil, err
	}
	info, err := os.Lstat(temp)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(temp, path); err != nil {
		return nil, err
	}
	return &socket{UnixListener: inner, path: path, file: info}, nil
}

// socket is a listener that removes its file when it is closed.
type socket struct {
	*net.UnixListener
	path   string
	file   fs.FileInfo
	remove sync.Once
}

// Addr names the socket as clients know it.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Close stops listening and removes the file if it is still this socket's. It looks while the
// socket is open: as long as it is, no other file can get its inode number.
func (s *socket) Close() error {
	s.remove.Do(func() {
		if unlock, err := lockDir(filepath.Dir(s.path)); err == nil {
			defer unlock()
		}
		if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.file) {
			_ = os.Remove(s.path)
		}
	})
	return s.UnixListener.Close()
}

// MatchOwner gives the socket at path the owner and group of the runtime's, so
// that whoever may talk to the runtime may talk to the proxy.
func MatchOwner(path, runtimeSocket string) error {
	var theirs, ours unix.Stat_t
	if err := unix.Stat(runtimeSocket, &theirs); err != nil {
		return fmt.Errorf("look up the owner of %s: %w", runtimeSocket, err)
	}
	if err := unix.Lstat(path, &ours); err != nil {
		return fmt.Errorf("look up the owner of %s: %w", path, err)
	}
	if ours.Uid == theirs.Uid && ours.Gid == theirs.Gid {
		return nil
	}
	if err := os.Lchown(path, int(theirs.Uid), int(theirs.Gid)); err != nil {
		return fmt.Errorf("change the owner of %s: %w", path, err)
	}
	return nil
}

// FollowOwner waits until the runtime's socket exists and then matches its owner. It returns nil
// when that is done, ctx's error, or why it cannot be done.
func FollowOwner(ctx context.Context, path, runtimeSocket string) error {
	tick := time.NewTicker(followPace)
	defer tick.Stop()
	for {
		err := MatchOwner(path, runtimeSocket)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
