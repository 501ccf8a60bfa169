package soak

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// diskFaults are what becomes of the state folder. What is pulled does not depend on it.
func diskFaults() []fault {
	return []fault{
		{"the disk is full", diskBad, func(_ context.Context, n *node, _ *rand.Rand) (func() error, error) {
			path := filepath.Join(n.StateDir, "filler")
			return func() error { return os.Remove(path) }, fill(path)
		}},
		{"the disk is read-only", diskBad, func(_ context.Context, n *node, _ *rand.Rand) (func() error, error) {
			remount := func(flags uintptr) error { return unix.Mount("", n.StateDir, "", unix.MS_REMOUNT|flags, "") }
			err := remount(unix.MS_RDONLY)
			if errors.Is(err, unix.EBUSY) { // somebody is just writing: then the disk stays as it is
				err = nil
			}
			return func() error { return remount(0) }, err
		}},
		{"what is stored is lost", diskBad, func(_ context.Context, n *node, _ *rand.Rand) (func() error, error) {
			return func() error { return nil }, n.lose()
		}},
		{"what is stored is damaged", diskBad, func(_ context.Context, n *node, random *rand.Rand) (func() error, error) {
			return func() error { return nil }, n.damage(random)
		}},
	}
}

// fill writes a file until the disk is full.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if errors.Is(err, unix.ENOSPC) {
		return nil
	}
	return err
}

// stored are the folders of the state folder: all but the decision log, which is what we look at.
func (n *node) stored() ([]string, error) {
	entries, err := os.ReadDir(n.StateDir)
	var folders []string
	for _, entry := range entries {
		if entry.IsDir() {
			folders = append(folders, filepath.Join(n.StateDir, entry.Name()))
		}
	}
	return folders, err
}

func (n *node) lose() error {
	folders, err := n.stored()
	for _, folder := range folders {
		for range 100 { // daemons write into it meanwhile
			if err = os.RemoveAll(folder); err == nil {
				break
			}
		}
	}
	return err
}

// damage flips a bit in every fourth file.
func (n *node) damage(random *rand.Rand) error {
	folders, err := n.stored()
	for _, folder := range folders {
		_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() || random.IntN(4) > 0 {
				return nil //nolint:nilerr // files come and go as we look
			}
			if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
				text[random.IntN(len(text))] ^= 1 << random.IntN(8)
				_ = os.WriteFile(path, text, 0o600)
			}
			return nil
		})
	}
	return err
}
