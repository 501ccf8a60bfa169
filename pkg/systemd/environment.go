package systemd

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// maxUnitFiles and maxUnitFile bound what is read of a unit.
const (
	maxUnitFiles = 64
	maxUnitFile  = 1 << 20
)

// Environment returns which of some variables a unit sets, by its file, its drop-ins and
// the files that these name, and where. Values are not kept: they may hold passwords.
func Environment(root, unit string, wanted ...string) map[string]string {
	set := map[string]string{}
	for _, file := range unitFiles(root, unit) {
		for _, line := range lines(file) {
			key, value, _ := strings.Cut(line, "=")
			switch strings.TrimSpace(key) {
			case "Environment":
				note(set, file, strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' }), wanted)
			case "EnvironmentFile":
				named := filepath.Join(root, strings.TrimPrefix(strings.TrimSpace(value), "-"))
				note(set, named, lines(named), wanted)
			}
		}
	}
	for name, file := range set {
		set[name] = strings.TrimPrefix(file, strings.TrimSuffix(root, "/"))
	}
	return set
}

// unitFiles are the file of a unit and its drop-ins.
func unitFiles(root, unit string) (files []string) {
	for _, dir := range []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		path := filepath.Join(root, dir, unit)
		dropIns, _ := filepath.Glob(path + ".d/*.conf")
		files = append(files, append([]string{path}, dropIns...)...)
	}
	return files[:min(len(files), maxUnitFiles)]
}

// lines are those of a file, none where it cannot be read.
func lines(path string) (all []string) {
	text, err := fsutil.ReadFile(path, maxUnitFile)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line[0] != ';' {
			all = append(all, line)
		}
	}
	return all
}

// note records the assignments of wanted variables, whatever their case.
func note(set map[string]string, file string, assignments, wanted []string) {
	for _, assignment := range assignments {
		name, value, ok := strings.Cut(strings.Trim(assignment, `"'`), "=")
		name = strings.ToUpper(strings.TrimPrefix(name, "export "))
		if ok && strings.Trim(value, `"' `) != "" && slices.Contains(wanted, name) {
			set[name] = file
		}
	}
}
