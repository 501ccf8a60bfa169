package fsutil

import "errors"

// ErrLocked is that another process has the lock.
var ErrLocked = errors.New("another process has locked it")
