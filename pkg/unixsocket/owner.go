package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// followInterval is the time between looks at a socket that does not exist yet.
const followInterval = time.Second

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

// FollowOwner waits until the socket at model exists and then matches its owner. It
// returns nil when that is done, ctx's error, or the reason why it is not possible.
func FollowOwner(ctx context.Context, path, model string) error {
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for {
		err := MatchOwner(path, model)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
