package hostfacts

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/operator"
)

func collectOSRelease(h host, out *facts.Features) error {
	data, err := h.root.ReadFile("etc/os-release")
	if errors.Is(err, fs.ErrNotExist) {
		data, err = h.root.ReadFile("usr/lib/os-release")
		out.Origins["system.osrelease"] = "/usr/lib/os-release"
	}
	out.Attributes["system.osrelease"] = parseOSRelease(data)
	return err
}

// parseOSRelease returns the keys of an os-release file, and the numbers of
// VERSION_ID as VERSION_ID.major and VERSION_ID.minor.
func parseOSRelease(data []byte) map[string]string {
	release := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || !isOSReleaseKey(key) || value == "" {
			continue
		}
		release[key] = unquoteShell(value)
	}
	rest := release["VERSION_ID"]
	for _, element := range []string{"major", "minor"} {
		digits, more, _ := strings.Cut(rest, ".")
		if digits == "" || leadingDigits(digits) != digits {
			break
		}
		release["VERSION_ID."+element], rest = digits, more
	}
	return release
}

func isOSReleaseKey(key string) bool {
	return key != "" && strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// unquoteShell removes the quotes of a shell word, and in double quotes the
// backslashes that quote a character.
func unquoteShell(s string) string {
	if len(s) < 2 || s[0] != s[len(s)-1] || !strings.ContainsRune(`"'`, rune(s[0])) {
		return strings.Trim(s, `"'`)
	}
	inner := s[1 : len(s)-1]
	if s[0] == '\'' {
		return inner
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\$`, `$`, "\\`", "`").Replace(inner)
}

func collectNodeName(h host, out *facts.Features) error {
	name, err := readTrimmed(h.root, "proc/sys/kernel/hostname")
	out.Attributes["system.name"] = map[string]string{"nodename": name}
	return err
}

// collectLocal reads NFD's feature files in the order of their names.
func collectLocal(h host, out *facts.Features) error {
	names, err := readDirIn(h.root, "etc", operator.FeaturesDir)
	if err == nil {
		operator.AddFeatures(h.root, names, h.now, out)
	}
	return err
}
