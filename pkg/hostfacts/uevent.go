package hostfacts

import (
	"bytes"
	"slices"
	"strings"
)

// uevent is the kernel's message when a device, a driver or a module is added or
// removed.
type uevent struct {
	action    string // add, remove, bind, online, ...
	path      string // below /sys
	subsystem string
}

// parseUevent reads one message of the kernel: "add@/devices/x", then pairs of
// key and value, each ended by a zero byte. It reports false for anything else,
// such as the messages of udev.
func parseUevent(message []byte) (uevent, bool) {
	head, rest, ok := bytes.Cut(message, []byte{0})
	if !ok {
		return uevent{}, false
	}
	action, path, ok := strings.Cut(string(head), "@")
	if !ok || action == "" || !strings.HasPrefix(path, "/") {
		return uevent{}, false
	}
	e := uevent{action: action, path: path}
	for _, pair := range bytes.Split(rest, []byte{0}) {
		if value, ok := bytes.CutPrefix(pair, []byte("SUBSYSTEM=")); ok {
			e.subsystem = string(value)
		}
	}
	return e, true
}

// concernsFacts ignores what happens all the time and changes no fact, such as the
// virtual interfaces that come and go with every pod.
func (e uevent) concernsFacts() bool {
	if e.action == "change" || e.action == "move" || strings.HasPrefix(e.path, "/devices/virtual/") {
		return false
	}
	return slices.Contains([]string{
		"block", "cpu", "dax", "drm", "infiniband", "kfd", "module", "nd", "net", "node", "nvme", "pci", "usb",
	}, e.subsystem)
}
