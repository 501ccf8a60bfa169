package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KubeletUsable says why no kubelet can be started here, nil when one can. A
// kubelet takes some places of the machine whatever its configuration says, the
// socket for device plugins above all; where one is at work already we keep off.
func KubeletUsable() error {
	if err := Usable(); err != nil {
		return err
	}
	if _, err := os.Lstat("/var/lib/kubelet/pods"); err == nil {
		return errors.New("would disturb this machine's own kubelet (there is a /var/lib/kubelet/pods)")
	}
	return nil
}

// machine is what every kubelet changes outside its folders, as it was before.
type machine struct {
	tunables map[string]string // the kernel's settings that it sets to its liking
	folders  []string          // those that it makes and that were not there
}

func lookAtMachine() machine {
	m := machine{tunables: map[string]string{}}
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	} {
		path := filepath.Join("/proc/sys", name)
		if text, err := os.ReadFile(path); err == nil { // else the kubelet cannot change it either
			m.tunables[path] = strings.TrimSpace(string(text))
		}
	}
	for _, folder := range []string{"/var/lib/kubelet/device-plugins", "/var/lib/kubelet", "/var/log/containers"} {
		if _, err := os.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
			m.folders = append(m.folders, folder)
		}
	}
	return m
}

// restore sets the settings back and removes the folders. What is in them that the
// kubelet is not known to make is an error: it is ours, and left over.
func (m machine) restore() error {
	var errs []error
	for path, before := range m.tunables {
		now, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(now)) != before {
			err = os.WriteFile(path, []byte(before), 0o600)
		}
		errs = append(errs, err)
	}
	for _, folder := range m.folders {
		_ = os.Remove(filepath.Join(folder, "kubelet.sock"))
		if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove what the kubelet made: %w", err))
		}
	}
	return errors.Join(errs...)
}

// makeCgroups makes the cgroup that a kubelet puts all its own under, which has to
// be there in every hierarchy. It goes with the work folder.
func makeCgroups(name string) error {
	for _, pattern := range []string{"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/*/cgroup.procs"} {
		found, _ := filepath.Glob(pattern) // errors only on a bad pattern
		for _, file := range found {
			if err := os.MkdirAll(filepath.Join(filepath.Dir(file), name), 0o755); err != nil {
				return fmt.Errorf("make the kubelet's cgroup: %w", err)
			}
		}
	}
	return nil
}
