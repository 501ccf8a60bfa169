//go:build !linux

package preflight

import "errors"

func diskOf(string) (disk, error) { return disk{}, errors.ErrUnsupported }
