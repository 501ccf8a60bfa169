package stack

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// daemons are the programs that are ours when their command line names our
// folder: nothing else (an editor, a tail -f) is ever ended for it.
func daemons() []string {
	return []string{"containerd", "containerd-shim-runc-v2", "runc", "registry", "cri-proxy", "nri-plugin", "kubelet",
		"etcd", "kube-apiserver", "kube-scheduler", "imagefit-controller", "crio", "conmon"}
}

func tryLock(name string, flags int) (*os.File, error) {
	file, err := os.OpenFile(name, flags|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return file, nil
}

// ownedProcesses finds the daemons started with dir on their command line, and
// the containers whose root file system lies in dir.
func ownedProcesses(dir string) map[int]string {
	owned := map[int]string{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return owned
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if what, ours := ownedBy(dir, pid); ours {
			owned[pid] = what
		}
	}
	return owned
}

func ownedBy(dir string, pid int) (string, bool) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	// A process that is gone by now reads as empty: not ours any more.
	cmdline, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
	args := strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
	what := strings.Join(args, " ")
	if slices.Contains(daemons(), filepath.Base(args[0])) && strings.Contains(what, dir) {
		return what, true
	}
	mounts, _ := os.ReadFile(filepath.Join(proc, "mountinfo"))
	for line := range bytes.Lines(mounts) {
		fields := strings.Fields(string(line))
		if len(fields) > 4 && fields[4] == "/" && strings.Contains(string(line), filepath.Base(dir)) {
			return what, true
		}
	}
	return "", false
}

// killOwned kills until nothing is found: a shim may be forking as we look.
func killOwned(dir string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		owned := ownedProcesses(dir)
		if len(owned) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("end the processes of %s: still there: %v", dir, owned)
		}
		for pid := range owned {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill process %d (%s): %w", pid, owned[pid], err)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// mountsUnder lists the mount points in dir, the innermost first.
func mountsUnder(dir string) []string {
	var points []string
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			points = append(points, fields[4])
		}
	}
	slices.Reverse(points)
	return points
}

func unmountUnder(dir string) error {
	for _, point := range mountsUnder(dir) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// cgroupsNamed lists the folders of a top-level cgroup in every hierarchy.
func cgroupsNamed(name string) []string {
	var found []string
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		dirs, _ := filepath.Glob(pattern + name) // errors only on a bad pattern
		for _, dir := range dirs {
			if info, err := os.Lstat(filepath.Dir(dir)); err == nil && info.IsDir() {
				found = append(found, dir)
			}
		}
	}
	return found
}

// removeCgroups removes the named cgroups with all below them. The kernel frees
// one a moment after its last process, hence the patience.
func removeCgroups(name string) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		var last error
		for _, top := range cgroupsNamed(name) {
			last = errors.Join(last, removeCgroup(top))
		}
		if last == nil || time.Now().After(deadline) {
			return last
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func removeCgroup(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil // it may be going away as we walk
	})
	for _, dir := range slices.Backward(dirs) {
		if rmErr := unix.Rmdir(dir); rmErr != nil && !errors.Is(rmErr, unix.ENOENT) {
			err = errors.Join(err, fmt.Errorf("remove cgroup %s: %w", dir, rmErr))
		}
	}
	return err
}
