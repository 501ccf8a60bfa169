//go:build !linux

package main

import "errors"

func enterHost([]string) error { return errors.ErrUnsupported }
