package unixsocket

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseEndpointTakesAbsolutePathsAndUnixURLs(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"unix:///run/containerd/containerd.sock": "/run/containerd/containerd.sock",
		"/run/containerd/containerd.sock":        "/run/containerd/containerd.sock",
		"unix:///run//x/../a b%20.sock":          "/run/a b%20.sock",
		"unix://run/x.sock":                      "",
		"unix:/run/x.sock":                       "",
		"unix://":                                "",
		"unix://@abstract":                       "",
		"run/x.sock":                             "",
		"":                                       "",
		"/":                                      "",
		"/run/":                                  "",
		"/run/\x00.sock":                         "",
		"tcp://127.0.0.1:1":                      "",
		"npipe:////./pipe/x":                     "",
	} {
		got, err := ParseEndpoint(endpoint)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", endpoint, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), "unix:///path") {
			t.Errorf("%q: the error does not say what would be right: %v", endpoint, err)
		}
	}
}

func TestListenReplacesOnlyStaleSockets(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    string // in the error; "" for success
	}{
		{"nothing there", func(*testing.T, string) {}, ""},
		{"stale socket", staleSocket, ""},
		{"stale socket of a start that was cut off", func(t *testing.T, path string) { staleSocket(t, path+tempSuffix) }, ""},
		{"another process listens", func(t *testing.T, path string) {
			l, err := Listen(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}, "another process is listening on "},
		{"another process listens with another protocol", func(t *testing.T, path string) {
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}, "check whether a process listens on "},
		{"a file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "exists and is not a socket"},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "exists and is not a socket"},
		{"a link to a stale socket", func(t *testing.T, path string) {
			staleSocket(t, path+".real")
			if err := os.Symlink(path+".real", path); err != nil {
				t.Fatal(err)
			}
		}, "exists and is not a socket"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "p.sock")
			c.prepare(t, path)
			before, _ := os.Lstat(path)
			l, err := Listen(path)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				checkListening(t, l, path)
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("what was there is gone: %v", err)
			}
		})
	}
}

// checkListening expects l to be reachable at path, with the right mode, and gone after Close.
func checkListening(t *testing.T, l net.Listener, path string) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("mode %v, %v", info, err)
	}
	if l.Addr().String() != path {
		t.Errorf("address is %s", l.Addr())
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// staleSocket leaves a socket file at path, as a process does that was killed.
func staleSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}

func TestListenMakesTheParentDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b", "p.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(filepath.Dir(path))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestListenRejectsAPathLongerThanASocketsNameCanBe(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/tmp", "s") //nolint:usetesting // short, to leave room
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	longest := filepath.Join(dir, strings.Repeat("x", maxPath-len(dir)-1))
	l, err := Listen(longest)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_, err = Listen(longest + "x")
	if err == nil || !strings.Contains(err.Error(), longest+"x: the path has 107 bytes, a socket's path can have at most 106") {
		t.Errorf("got %v", err)
	}
}

func TestOneOfManyConcurrentListenersWins(t *testing.T) {
	t.Parallel()
	for range 20 {
		path := filepath.Join(t.TempDir(), "p.sock")
		staleSocket(t, path)
		var winners atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				l, err := Listen(path)
				if err == nil {
					winners.Add(1)
					t.Cleanup(func() { _ = l.Close() })
				} else if !strings.Contains(err.Error(), "another process is listening on") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := winners.Load(); n != 1 {
			t.Fatalf("%d listen", n)
		}
	}
}

func TestCloseLeavesTheSocketOfASuccessor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.sock")
	first, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // by an operator, say
		t.Fatal(err)
	}
	second, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	checkListening(t, second, path)
}

func TestFollowOwnerWaitsForTheOtherSocketAndTakesItsOwner(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root to change owners")
	}
	path, model := filepath.Join(t.TempDir(), "p.sock"), filepath.Join(t.TempDir(), "runtime.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := MatchOwner(path, model); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the other socket: %v", err)
	}
	staleSocket(t, model+".new")
	if err := os.Chown(model+".new", 4711, 4712); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error, 1)
		go func() { done <- FollowOwner(t.Context(), path, model) }()
		synctest.Wait()
		if err := os.Rename(model+".new", model); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil || st.Uid != 4711 || st.Gid != 4712 || st.Mode&0o777 != 0o660 {
		t.Errorf("owner %d:%d, mode %o, %v", st.Uid, st.Gid, st.Mode, err)
	}
	if err := MatchOwner(path, model); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestFollowOwnerEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := FollowOwner(ctx, "/nowhere/p.sock", "/nowhere/runtime.sock"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
