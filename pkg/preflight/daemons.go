package preflight

import (
	"errors"
	"io/fs"
	"net"
	"os"
)

// leastFree is what the state directory should have left.
const (
	leastFreeBytes  = 16 << 20
	leastFreeInodes = 1000
)

// disk is a file system.
type disk struct {
	readOnly                      bool
	freeBytes, inodes, freeInodes uint64
}

func (n *Node) checkState() {
	const check = "state"
	dir := n.Config.StateDir
	info, err := os.Stat(n.path(dir))
	var disk disk
	switch {
	case errors.Is(err, fs.ErrNotExist):
		n.unknown(check, "start the daemons", "%s does not exist yet; the daemons create it", dir)
		return
	case err == nil && !info.IsDir():
		n.problem(check, "remove it, or change state_dir", "%s is not a directory", dir)
		return
	case err == nil:
		disk, err = diskOf(n.path(dir))
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		n.unknown(check, "look for yourself", "cannot tell whether %s can be written on this system", dir)
	case err != nil:
		n.problem(check, "correct state_dir", "%v", err)
	case disk.readOnly:
		n.problem(check, "mount it for writing", "the file system of %s is read-only", dir)
	case disk.freeBytes < leastFreeBytes:
		n.problem(check, "free some space", "the file system of %s is full", dir)
	case disk.inodes > 0 && disk.freeInodes < leastFreeInodes:
		n.problem(check, "remove files", "the file system of %s has no inodes left", dir)
	default:
		n.ok(check, "%s can be written", dir)
	}
}

// checkPorts finds other programs on the daemons' addresses.
func (n *Node) checkPorts() {
	for _, d := range []struct{ program, key, address string }{
		{"cri-proxy", "proxy.http_listen", n.Config.Proxy.HTTPListen}, {"nri-plugin", "nri.http_listen", n.Config.NRI.HTTPListen},
	} {
		_, port, err := net.SplitHostPort(d.address)
		if err != nil {
			continue // a unix socket, or none
		}
		switch p := n.listener(port); {
		case p == nil:
			n.unknown("port", "systemctl start "+d.program+", and see journalctl -u "+d.program, "nothing listens on %s: %s is not running, or cannot use it", d.address, d.program)
		case p.comm == "":
			n.unknown("port", asRoot, "cannot tell which process listens on %s", d.address)
		case p.comm != d.program:
			n.problem("port", "stop that program or change "+d.key, "%s of %s is in use by %s", d.address, d.program, p)
		default:
			n.ok("port", "%s listens on %s", d.program, d.address)
		}
	}
}

// checkInstances finds daemons that run twice: each container is checked twice then, and
// only one can have the sockets.
func (n *Node) checkInstances() {
	for _, name := range []string{"cri-proxy", "nri-plugin"} {
		if all := n.processes(name); len(all) > 1 {
			n.problem(name, "stop the one that the service manager did not start", "%d of them run: %s and %s", len(all), all[0], all[1])
		}
	}
}
