package hostfacts

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

const (
	// maxCommandLine is more than any kernel takes.
	maxCommandLine = 64 << 10
	// redacted takes the place of a value that may identify the node.
	redacted = "redacted"
)

// collectCommandLine reads the kernel's parameters. A value that may identify the
// node is unknown.
func collectCommandLine(h host, out *facts.Features) error {
	data, err := h.root.ReadHead("proc/cmdline", maxCommandLine)
	if err != nil {
		return err
	}
	values := map[string]string{}
	for _, p := range parseCommandLine(string(data)) {
		if p.isPrivate() {
			out.Unknown["kernel.cmdline/"+p.key] = "left out, because it may identify the node"
			delete(values, p.key)
			continue
		}
		delete(out.Unknown, "kernel.cmdline/"+p.key)
		values[p.key] = p.value
	}
	out.Attributes["kernel.cmdline"] = values
	return nil
}

// parameter is one word of the kernel's command line. One without a value has
// the value "true".
type parameter struct {
	key, value string
	bare       bool
}

// parseCommandLine splits a command line as the kernel does: at white space
// outside double quotes. What comes after "--" is for the first process.
func parseCommandLine(line string) []parameter {
	var parameters []parameter
	for _, word := range splitQuoted(line) {
		if word == "--" {
			break
		}
		key, value, hasValue := strings.Cut(strings.ReplaceAll(word, `"`, ""), "=")
		if key == "" {
			continue
		}
		if !hasValue {
			value = "true"
		}
		parameters = append(parameters, parameter{key: key, value: value, bare: !hasValue})
	}
	return parameters
}

// splitQuoted keeps the quotes, so that a quoted "--" stays a word.
func splitQuoted(line string) []string {
	quoted := false
	return strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r >= '\t' && r <= '\r' || r == 0)
	})
}

// privateParameters are keys whose value names a disk, a host, a network
// address, a user or a place on the network. A key that ends in a dot is a prefix.
func privateParameters() []string {
	return []string{
		"BOOTIF", "BOOT_IMAGE", "auth", "autoinstall", "cloud-config-url", "cloud-init", "coreos.", "cryptdevice",
		"cryptkey", "ds", "fetch", "flatcar.", "fstab", "hostname", "ifname", "ignition.", "init", "initrd", "inst.",
		"ip", "iscsi_initiator", "iscsi_target_ip", "iscsi_target_name", "k3os.", "key", "keyfile", "ks", "luks.",
		"nameserver", "netroot", "nfsaddrs", "nfsroot", "ostree", "passwd", "password", "preseed", "preseed.", "rd.auth",
		"rd.dm.uuid", "rd.iscsi.", "rd.luks.", "rd.lvm.", "rd.md.uuid", "rd.neednet", "rd.route", "rd.zfcp", "resume",
		"root", "rootflags", "secret", "stage2", "systemd.condition-first-boot", "systemd.hostname", "systemd.machine_id",
		"systemd.set_credential", "systemd.set_credential_binary", "systemd.setenv", "systemd.verity_root_data",
		"systemd.verity_root_hash", "talos.", "token", "url", "user", "vlan", "zfs",
	}
}

// isPrivate reports whether the value may identify the node: by the key, or
// because it looks like an address, a UUID or a path to somewhere.
func (p parameter) isPrivate() bool {
	if p.bare {
		return false
	}
	isNamed := func(name string) bool {
		return p.key == name || strings.HasSuffix(name, ".") && strings.HasPrefix(p.key, name)
	}
	if p.value == redacted || slices.ContainsFunc(privateParameters(), isNamed) {
		return true
	}
	for _, word := range []string{"passw", "secret", "token", "credential"} {
		if strings.Contains(strings.ToLower(p.key), word) {
			return true
		}
	}
	return looksPrivate(p.value)
}

// uuidOrMAC matches a UUID, and a hardware address in either notation.
var uuidOrMAC = regexp.MustCompile(`(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|` +
	`[0-9a-f]{2}(:[0-9a-f]{2}){5}|[0-9a-f]{2}(-[0-9a-f]{2}){5}`)

func looksPrivate(value string) bool {
	if strings.Contains(value, "://") || strings.Contains(value, "@") || uuidOrMAC.MatchString(value) {
		return true
	}
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ';' || r == '/' }) {
		if _, err := netip.ParseAddr(strings.Trim(part, "[]")); err == nil {
			return true
		}
		if _, err := netip.ParseAddrPort(part); err == nil {
			return true
		}
	}
	return false
}

// RedactCommandLine returns a command line that yields the same facts, without
// the values that may identify the node.
func RedactCommandLine(line string) string {
	var words []string
	for _, p := range parseCommandLine(line) {
		switch {
		case p.bare:
			words = append(words, quoteParameter(p.key))
		case p.isPrivate():
			words = append(words, quoteParameter(p.key+"="+redacted))
		default:
			words = append(words, quoteParameter(p.key+"="+p.value))
		}
	}
	return strings.Join(words, " ") + "\n"
}

func quoteParameter(word string) string {
	if words := splitQuoted(word); len(words) == 1 && words[0] == word && word != "--" {
		return word
	}
	return `"` + word + `"`
}
