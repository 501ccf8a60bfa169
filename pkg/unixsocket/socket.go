// Package unixsocket makes the unix sockets that the daemons listen on, and gives
// them the owner of another one.
package unixsocket

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

	"github.com/imagefit/imagefit/internal/fsutil"
)

const (
	// maxPath is what fits into sun_path besides its final zero and the suffix
	// under which the socket is made.
	maxPath    = 108 - 1 - len(tempSuffix)
	tempSuffix = "~"

	mode        = 0o660
	lockTimeout = 5 * time.Second
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

// Listen makes a socket at path, with mode 0660, and listens on it. A socket file left
// over from a process that is gone is replaced; one on which a process listens, and a
// file of any other kind, is an error.
//
// The socket is made under another name and then renamed, so that no client finds it
// before it is ready. All of that happens under a lock on the directory, so that of two
// processes that start at the same time the second finds the first one listening. There
// is no lock file that could become stale.
func Listen(path string) (*Listener, error) {
	listener, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return listener, nil
}

func listen(path string) (*Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("the path has %d bytes, a socket's path can have at most %d", len(path), maxPath)
	}
	dir := filepath.Dir(path)
	_, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o755); err == nil {
			err = os.Chmod(dir, 0o755) // whatever the umask
		}
	}
	if err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := checkFree(path); err != nil {
		return nil, err
	}
	return bind(path)
}

// lockDir locks a directory against other processes that make a socket there.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockTimeout); ; time.Sleep(10 * time.Millisecond) {
		err = fsutil.Lock(f, false)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, fsutil.ErrLocked) || time.Now().After(end) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
	}
}

// checkFree returns nil if path does not exist or is a socket on which no process listens.
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
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(context.Background(), "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("another process is listening on %s", path)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return nil
	}
	// A process may well listen: a full queue, for one, gives EAGAIN.
	return fmt.Errorf("check whether a process listens on %s: %w", path, err)
}

// bind makes the socket and moves it to path, over a stale one.
func bind(path string) (_ *Listener, err error) {
	temp := path + tempSuffix
	if info, err := os.Lstat(temp); err == nil && info.Mode().Type() == fs.ModeSocket {
		_ = os.Remove(temp) // left by a process that died in this function, since we have the lock
	}
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		// Linux gives the file the mode of the socket, so that clients without
		// permission cannot connect under the temporary name either.
		return conn.Control(func(fd uintptr) { setMode(int(fd)) })
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
	if err := os.Chmod(temp, mode); err != nil { // whatever the umask
		return nil, err
	}
	info, err := os.Lstat(temp)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(temp, path); err != nil {
		return nil, err
	}
	return &Listener{UnixListener: inner, path: path, file: info}, nil
}

// Listener is a unix listener that removes its file when it is closed.
type Listener struct {
	*net.UnixListener
	path   string
	file   fs.FileInfo
	remove sync.Once
}

// Addr names the socket as clients know it.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close stops listening and removes the file if it is still this socket's. It compares
// them while the socket is open: until it is closed no other file gets its inode number.
func (l *Listener) Close() error {
	l.remove.Do(func() {
		if unlock, err := lockDir(filepath.Dir(l.path)); err == nil {
			defer unlock()
		}
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
			_ = os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}

// followInterval is the time between looks at a socket that does not exist yet.
const followInterval = time.Second

// FollowOwner waits until the socket at model exists and then matches its owner. It
// returns nil when that is done, ctx's error, or the reason why it is not possible.
func FollowOwner(ctx context.Context, path, model string) error {
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for {
		err := MatchOwner(path, model)
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
