package fsutil

import (
	"os"
	"path/filepath"
)

// SameFile tells whether two paths lead to one file, through links and bind mounts too.
// Where it does not exist yet, its name and its folder decide.
func SameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(infoA, infoB)
	}
	a, b = target(a), target(b)
	if a == b {
		return true
	}
	folderA, errA := os.Stat(filepath.Dir(a))
	folderB, errB := os.Stat(filepath.Dir(b))
	return errA == nil && errB == nil && filepath.Base(a) == filepath.Base(b) && os.SameFile(folderA, folderB)
}

// maxLinks is where the kernel stops following links as well.
const maxLinks = 40

// target follows links whose end need not exist.
func target(path string) string {
	for range maxLinks {
		path = filepath.Clean(path)
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return path
}
