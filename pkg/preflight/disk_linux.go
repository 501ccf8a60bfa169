package preflight

import "golang.org/x/sys/unix"

// diskOf looks at the file system of a folder.
func diskOf(dir string) (disk, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return disk{}, err
	}
	return disk{
		readOnly:  s.Flags&unix.ST_RDONLY != 0,
		freeBytes: s.Bavail * uint64(s.Bsize), //nolint:gosec // a block size is small
		inodes:    s.Files, freeInodes: s.Ffree,
	}, nil
}
