package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// enterHost replaces this process by a program of the node, whose process 1 the pod sees: in the node's mount namespace it finds the node's files and service manager.
func enterHost(command []string) error {
	runtime.LockOSThread() // a namespace is entered by one thread, which then is the process
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("leave the pod's file system: %w", err)
	}
	namespace, err := os.Open("/proc/1/ns/mnt")
	if err != nil {
		return fmt.Errorf("find the node's file system (the pod needs hostPID): %w", err)
	}
	root, err := unix.Open("/proc/1/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("find the node's root (the pod needs hostPID): %w", err)
	}
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter the node's file system (the pod has to be privileged): %w", err)
	}
	if err := errors.Join(unix.Fchdir(root), unix.Chroot("."), unix.Chdir("/")); err != nil {
		return fmt.Errorf("enter the node's root: %w", err)
	}
	const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, folder := range []string{"/usr/bin", "/bin"} {
		err = unix.Exec(filepath.Join(folder, command[0]), command, []string{path, "LANG=C.UTF-8"})
	}
	return fmt.Errorf("start %s on the node: %w", command[0], err)
}
