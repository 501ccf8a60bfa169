package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// workPrefix begins the name of every folder the stack works in. Short, because a
// path to a unix socket may have 108 bytes and containerd's own limits are tighter.
const workPrefix = "imagefit-stack-"

// lockName is a file in the folder, locked as long as its owner lives: so a
// later run finds what a killed one left behind, and nothing else. It holds the
// owner's process id.
const lockName = "owner.lock"

// workDir is a temporary folder together with everything that lives by it:
// processes, mounts and a cgroup of the same name.
type workDir struct {
	path string
	lock *os.File
}

// newWorkDir makes a folder of its own, after clearing what runs that were
// killed left behind.
func newWorkDir() (*workDir, error) {
	if err := sweep(); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp("", workPrefix)
	if err != nil {
		return nil, fmt.Errorf("make work folder: %w", err)
	}
	// Locked before it gets the name that sweep looks for.
	temp := filepath.Join(path, lockName+".new")
	lock, err := tryLock(temp, os.O_CREATE)
	if err == nil {
		_, err = lock.WriteString(strconv.Itoa(os.Getpid()))
	}
	if err == nil {
		err = os.Rename(temp, filepath.Join(path, lockName))
	}
	if err != nil {
		return nil, fmt.Errorf("make work folder: %w", err)
	}
	return &workDir{path: path, lock: lock}, nil
}

// remove clears the folder and everything that lives by it.
func (w *workDir) remove() error {
	defer w.lock.Close()
	return clearAway(w.path)
}

// sweep clears the folders whose owner is dead.
func sweep() error {
	found, err := filepath.Glob(filepath.Join(os.TempDir(), workPrefix+"*", lockName))
	if err != nil {
		return fmt.Errorf("look for old work folders: %w", err)
	}
	for _, name := range found {
		lock, err := tryLock(name, 0)
		if err != nil {
			continue // its owner lives, or another run is clearing it
		}
		err = clearAway(filepath.Dir(name))
		lock.Close()
		if err != nil {
			return fmt.Errorf("clear an old work folder: %w", err)
		}
	}
	return nil
}

// clearAway ends what lives by a work folder, removes it and looks again.
func clearAway(dir string) error {
	ids := idsOf(dir)
	if err := killOwned(dir); err != nil {
		return err
	}
	if err := unmountUnder(dir); err != nil {
		return err
	}
	if err := removeCgroups(filepath.Base(dir)); err != nil {
		return err
	}
	if err := removeOutside(dir); err != nil {
		return err
	}
	if err := removeLockLast(dir); err != nil {
		return fmt.Errorf("remove work folder: %w", err)
	}
	left := Leftovers(dir)
	for _, path := range outside(dir, ids) {
		left = append(left, "outside "+path)
	}
	if len(left) > 0 {
		return fmt.Errorf("left behind after clearing %s:\n  %s", dir, strings.Join(left, "\n  "))
	}
	return nil
}

// removeOutside removes the files outside the folder whose place cannot be chosen:
// sockets of the shims of containerd before 2.3, which live on when a shim is killed,
// and the kubelet's links to the logs of containers.
func removeOutside(dir string) error {
	var ids []string
	bundles, _ := filepath.Glob(filepath.Join(dir, "state", "io.containerd.runtime.v2.task", "*", "*")) // errors only on a bad pattern
	for _, bundle := range bundles {
		ids = append(ids, filepath.Base(bundle))
	}
	for _, path := range append(shimSockets(dir, ids), logLinks(dir)...) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what lies outside the work folder: %w", err)
		}
	}
	return nil
}

// logLinks are the kubelet's links to the logs of the folder's containers.
func logLinks(dir string) []string {
	var ours []string
	links, _ := filepath.Glob("/var/log/containers/*.log") // errors only on a bad pattern
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir+"/") {
			ours = append(ours, link)
		}
	}
	return ours
}

// removeLockLast removes a work folder. The lock goes after the rest, so that what
// cannot be removed now is found again by the next sweep.
func removeLockLast(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == lockName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// Abandoned lists what this process has left behind of the stack: what lives by
// work folders of its own that were never removed. Nothing at the end of a run in
// which everything that was started was stopped.
func Abandoned() []string {
	var left []string
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), workPrefix+"*", lockName)) // errors only on a bad pattern
	for _, name := range found {
		owner, _ := os.ReadFile(name) // empty for what another run has removed
		if string(owner) == strconv.Itoa(os.Getpid()) {
			left = append(left, Leftovers(filepath.Dir(name))...)
		}
	}
	return left
}

// Leftovers lists what still lives by a work folder ([Containerd.Dir]): its
// processes, mounts, cgroups and the folder itself. Empty after a clean stop.
func Leftovers(dir string) []string {
	var left []string
	for pid, what := range ownedProcesses(dir) {
		left = append(left, fmt.Sprintf("process %d (%s)", pid, what))
	}
	for _, point := range mountsUnder(dir) {
		left = append(left, "mount "+point)
	}
	for _, group := range cgroupsNamed(filepath.Base(dir)) {
		left = append(left, "cgroup "+group)
	}
	if _, err := os.Lstat(dir); err == nil {
		left = append(left, "folder "+dir)
	}
	return left
}
