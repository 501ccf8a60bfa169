//go:build !linux

package unixsocket

import "net"

// PeerPID is not known here.
func PeerPID(net.Conn) int { return 0 }
