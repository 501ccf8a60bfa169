//go:build !linux

package stack

import (
	"errors"
	"os"
	"runtime"
)

// Usable says why the stack cannot run here: containers need Linux.
func Usable() error { return errors.New("needs Linux, is " + runtime.GOOS) }

func snapshotter(string) (string, error) { return "", Usable() }

func tryLock(name string, flags int) (*os.File, error) {
	return os.OpenFile(name, flags|os.O_RDWR, 0o600)
}

func ownedProcesses(string) map[int]string { return nil }
func killOwned(string) error               { return nil }
func mountsUnder(string) []string          { return nil }
func unmountUnder(string) error            { return nil }
func cgroupsNamed(string) []string         { return nil }
func removeCgroups(string) error           { return nil }

// Outside lists nothing: there are no daemons.
func Outside(string) []string { return nil }

// Children lists nothing.
func Children() []string { return nil }
