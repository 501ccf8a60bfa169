package snapshot

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// redactor removes from a snapshot what identifies the machine. In texts it is
// replaced by zeros of the same shape.
type redactor struct{ off bool }

// address matches a UUID, also of a GPU; hardware addresses of Ethernet and of
// InfiniBand; and interfaces named after their address.
var address = regexp.MustCompile(
	`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|` +
		`\b[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5,}\b|\b[0-9a-fA-F]{4}(:[0-9a-fA-F]{4}){3,}\b|\b(en|wl)x[0-9a-f]{12}\b`)

// text redacts a path, a name, an error or the content of a file.
func (r redactor) text(s string) string {
	if r.off {
		return s
	}
	return address.ReplaceAllStringFunc(s, zeros)
}

// zeros keeps what makes the shape of an address, prefixes of names included.
func zeros(address string) string {
	prefix := ""
	for _, p := range []string{"enx", "wlx"} {
		if strings.HasPrefix(address, p) {
			prefix, address = p, address[len(p):]
		}
	}
	return prefix + strings.Map(func(c rune) rune {
		if c == ':' || c == '-' {
			return c
		}
		return '0'
	}, address)
}

// file redacts the content of a file. It reports false for a file that is left
// out as a whole.
func (r redactor) file(name string, data []byte) ([]byte, bool) {
	if name == hostfacts.BootIDFile {
		return nil, false // with it, the facts would be collected as those of the live machine
	}
	if bytes.HasPrefix(data, []byte("\x7fELF")) {
		return hostfacts.RedactLibrary(data), true
	}
	if !r.off && isIdentity(name) {
		return nil, false
	}
	if r.off || bytes.IndexByte(data, 0) >= 0 { // not a text, perhaps a compressed one
		return data, true
	}
	text := r.text(string(data))
	switch {
	case name == "proc/cmdline":
		text = hostfacts.RedactCommandLine(text)
	case name == "proc/cpuinfo":
		text = withoutLines(text, "Serial")
	case name == "proc/sysinfo": // of a mainframe, with its serial number and the names of machines
		text = onlyLines(text, "Control Program:")
	case strings.HasPrefix(name, "sys/") && path.Base(name) == "properties":
		text = withoutLines(text, "unique_id")
	}
	return []byte(text), true
}

// isIdentity reports whether a file contains nothing but an identity.
func isIdentity(name string) bool {
	if name == "proc/sys/kernel/hostname" || name == "etc/hostname" || name == "etc/machine-id" {
		return true
	}
	base := path.Base(name)
	return strings.HasPrefix(name, "sys/") &&
		(slices.Contains([]string{"address", "permanent_address", "wwid", "unique_id", "vpd", "nguid", "eui", "board_asset_tag", "chassis_asset_tag"}, base) ||
			strings.Contains(base, "serial") || strings.Contains(base, "uuid") || strings.Contains(base, "guid") ||
			strings.Contains(name, "/gids/"))
}

// withoutLines drops the lines that begin with key.
func withoutLines(text, key string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, key) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// onlyLines keeps the lines that contain key.
func onlyLines(text, key string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, key) {
			b.WriteString(line)
		}
	}
	return b.String()
}
