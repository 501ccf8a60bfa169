//go:build !unix

package unixsocket

import "errors"

func setMode(int) {}

// MatchOwner is an error where sockets have no owner.
func MatchOwner(string, string) error { return errors.ErrUnsupported }
