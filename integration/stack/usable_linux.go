package stack

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Usable says why the stack cannot run here, nil when it can: it needs root, with
// the right to mount, on Linux.
func Usable() error {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("needs root, is uid %d", uid)
	}
	dir, err := os.MkdirTemp("", "imagefit-probe-")
	if err != nil {
		return fmt.Errorf("probe for the right to mount: %w", err)
	}
	defer os.Remove(dir)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4k"); err != nil {
		return fmt.Errorf("needs the right to mount file systems: %w", err)
	}
	return errors.Join(unix.Unmount(dir, 0))
}

// snapshotter is the one that works in dir: an overlay cannot lie on an overlay,
// which is what a container's own temporary folder often is.
func snapshotter(dir string) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return "", fmt.Errorf("find the file system of %s: %w", dir, err)
	}
	if fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native", nil
	}
	return "overlayfs", nil
}
