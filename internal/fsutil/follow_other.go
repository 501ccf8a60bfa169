//go:build !linux

package fsutil

import (
	"context"
	"errors"
)

// FollowDir is an error where the kernel does not tell of changes.
func FollowDir(context.Context, string, func(name string)) error { return errors.ErrUnsupported }
