//go:build !unix

package fsutil

import (
	"errors"
	"os"
)

// Lock is an error where files cannot be locked; nothing that needs it runs there.
func Lock(*os.File, bool) error { return errors.ErrUnsupported }
