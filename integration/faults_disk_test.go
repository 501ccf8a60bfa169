package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/integration/stack"
)

// The state directory is full, by bytes or by inodes, or not writable. Nothing new is stored, but pulls choose
// as before, admission uses what is there, and the log does not grow with every pull.
func TestPullsSurviveADiskThatIsFullOrReadOnly(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"full": func(t *testing.T, dir string) {
			filler, err := os.Create(filepath.Join(dir, "filler"))
			if err != nil {
				t.Fatal(err)
			}
			defer filler.Close()
			for err == nil {
				_, err = filler.Write(make([]byte, 512))
			}
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
		},
		"without inodes": func(t *testing.T, dir string) {
			var err error
			for i := 0; err == nil; i++ {
				err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("filler-%d", i)), nil, 0o600)
			}
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
		},
		"read-only": func(t *testing.T, dir string) {
			if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			containerd := startContainerd(t, stack.Options{})
			dir := filepath.Join(containerd.Dir, "imagefit")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,nr_inodes=500"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(dir, 0); err != nil {
					t.Error(err)
				}
			})
			f := startFitWith(t, containerd, startRegistry(t), flagsV3, stack.Settings{})
			unfit := f.offerUnfit(t, "unfit")
			f.pullExempt(t, unfit)
			known := f.offer(t, "known")
			w := watch(f, known)
			w.wantVariant(t, known, best)
			spoil(t, dir)
			if name == "read-only" { // also from the start
				w.restartProxy(t)
			}
			const pulls = 10
			before := len(w.proxyLog(t))
			for range pulls {
				fresh := w.offer(t, w.fresh())
				w.offers = append(w.offers, fresh)
				w.wantVariant(t, fresh, best)
				w.wantVariant(t, known, best)
			}
			complaints := 0
			for line := range strings.Lines(w.proxyLog(t)[before:]) {
				if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
					complaints++
				}
			}
			if complaints == 0 || complaints >= pulls {
				t.Errorf("%d complaints about the state folder in %d pulls:\n%s", complaints, 2*pulls, w.Proxy.Tail(30))
			}
			w.startPlugin(t)
			w.wantNotCreated(t, unfit)
			w.wantRun(t, known, w.pulled[known.ref])
			w.wantSound(t)
			if entries, _ := filepath.Glob(filepath.Join(dir, "*", ".tmp-*")); len(entries) > 0 {
				t.Errorf("left behind: %q", entries)
			}
		})
	}
}

// offerUnfit offers an image that does not fit.
func (f *fit) offerUnfit(t *testing.T, name string) offer {
	t.Helper()
	o := f.offerOf(t, name, taken)
	needs(t, o.repo, o.manifests[taken], `"cpu-cpuid.AMXINT8": true`)
	return o
}

// pullExempt pulls for a pod that is never refused.
func (f *fit) pullExempt(t *testing.T, o offer) {
	t.Helper()
	if _, err := f.cri.Pull(t.Context(), o.ref, stack.PullOptions{Namespace: "kube-system"}); err != nil {
		t.Fatal(err)
	}
}

// wantNotCreated has admission refuse an image that is on the node.
// wantNotCreated wants a container to be refused, once the plugin has seen what the proxy stored anew.
func (f *fit) wantNotCreated(t *testing.T, o offer) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		_, err = run(t.Context(), f.cri, o.ref, stack.PodOptions{})
	}
	if err == nil || !strings.Contains(err.Error(), "does not fit this node") {
		t.Errorf("create what does not fit: %v", err)
	}
}

// corruptions is what may become of a file.
func corruptions() map[string]func(t *testing.T, path string, text []byte) {
	return map[string]func(t *testing.T, path string, text []byte){
		"empty":     func(t *testing.T, path string, _ []byte) { put(t, path, nil) },
		"truncated": func(t *testing.T, path string, text []byte) { put(t, path, text[:len(text)/2]) },
		"flipped": func(t *testing.T, path string, text []byte) {
			for i := range text {
				text[i] ^= 1
			}
			put(t, path, text)
		},
		"one bit": func(t *testing.T, path string, text []byte) {
			text[len(text)/2] ^= 4
			put(t, path, text)
		},
		"huge": func(t *testing.T, path string, _ []byte) {
			if err := os.Truncate(path, 1<<40); err != nil { // sparse
				t.Fatal(err)
			}
		},
		"folder": func(t *testing.T, path string, _ []byte) {
			remove(t, path)
			if err := os.MkdirAll(filepath.Join(path, "and", "more"), 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"link to nothing": func(t *testing.T, path string, _ []byte) { link(t, "/nowhere/at/all", path) },
		"link to itself":  func(t *testing.T, path string, _ []byte) { link(t, filepath.Base(path), path) },
		"endless link":    func(t *testing.T, path string, _ []byte) { link(t, "/dev/zero", path) },
		"pipe": func(t *testing.T, path string, _ []byte) {
			remove(t, path)
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"unreadable": func(t *testing.T, path string, _ []byte) {
			if err := errors.Join(os.Chown(path, 65534, 65534), os.Chmod(path, 0)); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// Every file of the state directory is damaged in every way. Pulls choose as before,
// from memory and after a restart, and restore what admission needs.
func TestPullsSurviveDamagedStateFiles(t *testing.T) {
	// What the plugin looks up by itself would heal what is looked at here.
	f := startFit(t, flagsV3, stack.Settings{Cache: `referrers_ttl = "1h"`, NRI: "look_up = false"})
	f.startPlugin(t)
	o, unfit := f.offer(t, "app"), f.offerUnfit(t, "unfit")
	w := watch(f, o)
	for name, corrupt := range corruptions() {
		t.Run(name, func(t *testing.T) {
			for _, remembers := range []bool{true, false} {
				if err := w.removeState(); err != nil {
					t.Fatal(err)
				}
				w.wantVariant(t, o, best)
				f.pullExempt(t, unfit)
				w.corrupt(t, corrupt)
				if !remembers {
					w.restartProxy(t)
				}
				ctx, cancel := timeout(t, drainTime)
				defer cancel()
				id, err := w.cri.Pull(ctx, o.ref, stack.PullOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if got := o.ids[id]; got != best {
					t.Errorf("pulled %s, want %s", got, best)
				}
			}
			w.wantVariant(t, o, best)
			f.pullExempt(t, unfit)
			if name != "folder" { // what is in it may belong to another program, and stays
				w.wantNotCreated(t, unfit)
			}
			w.wantSound(t)
		})
	}
	w.wantRun(t, o, w.pulled[o.ref])
}

func (w *witness) corrupt(t *testing.T, how func(*testing.T, string, []byte)) {
	t.Helper()
	files := w.stateFiles(t)
	if len(files) < 10 {
		t.Fatalf("only %q to damage", files)
	}
	for _, path := range files {
		how(t, path, []byte(head(path)))
	}
}

// stateFiles are all files of the state folder.
func (w *witness) stateFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(w.StateDir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	remove(t, path)
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}
