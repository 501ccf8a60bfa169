//go:build unix

package unixsocket

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// setMode gives a socket that has no file yet the mode that its file will have.
func setMode(fd int) { _ = unix.Fchmod(fd, mode) }

// MatchOwner gives the socket at path the owner and group of the socket at model, so
// that whoever may connect to the one may connect to the other.
func MatchOwner(path, model string) error {
	var theirs, ours unix.Stat_t
	if err := unix.Stat(model, &theirs); err != nil {
		return fmt.Errorf("look up the owner of %s: %w", model, err)
	}
	if err := unix.Lstat(path, &ours); err != nil {
		return fmt.Errorf("look up the owner of %s: %w", path, err)
	}
	if ours.Uid == theirs.Uid && ours.Gid == theirs.Gid {
		return nil
	}
	if err := os.Lchown(path, int(theirs.Uid), int(theirs.Gid)); err != nil {
		return fmt.Errorf("change the owner of %s: %w", path, err)
	}
	return nil
}
