package install

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
)

// unitFolders are where systemd looks for units, the first wins.
func unitFolders() []string {
	return []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
}

// unit is what a unit and its drop-ins come to.
type unit struct {
	name  string
	files []string          // that were read, the unit first
	exec  string            // the last ExecStart=, as it is written
	env   map[string]string // of Environment= and of the files that EnvironmentFile= names
}

// unit reads a unit. One that does not exist has no files.
func (t tree) unit(name string) unit {
	u := unit{name: name, env: map[string]string{}}
	dropIns := map[string]string{} // the path by the name
	for _, folder := range unitFolders() {
		if file := path.Join(folder, name); len(u.files) == 0 && t.read(file) != "" {
			u.files = append(u.files, file)
		}
		for _, file := range t.list(path.Join(folder, name+".d"), ".conf") {
			dropIns[path.Base(file)] = cmp.Or(dropIns[path.Base(file)], file)
		}
	}
	if len(u.files) == 0 {
		return u
	}
	for _, name := range slices.Sorted(maps.Keys(dropIns)) {
		u.files = append(u.files, dropIns[name])
	}
	var environment []string // files, which override Environment=
	for _, file := range u.files {
		environment = u.lay(t.read(file), environment)
	}
	for _, file := range environment {
		for line := range strings.Lines(t.read(file)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
				u.env[name] = strings.Trim(value, `"'`)
			}
		}
	}
	return u
}

// lay reads the [Service] section of one file over what is there.
func (u *unit) lay(text string, environment []string) []string {
	text = strings.ReplaceAll(text, "\\\n", " ")
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section != "[Service]" {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "ExecStart":
			u.exec = strings.Join(strings.Fields(value), " ")
		case "Environment":
			for _, entry := range words(value) {
				name, content, _ := strings.Cut(entry, "=")
				u.env[name] = content
			}
		case "EnvironmentFile":
			if value == "" {
				environment = nil
			} else {
				environment = append(environment, strings.TrimPrefix(value, "-"))
			}
		}
	}
	return environment
}

// args are the program and its arguments, with variables replaced.
func (u unit) args() (args []string) {
	for _, word := range words(strings.TrimLeft(u.exec, "@-:+!")) {
		if name, whole := strings.CutPrefix(word, "$"); whole && !strings.ContainsAny(name, "{}$/") {
			args = append(args, words(u.env[name])...)
			continue
		}
		for name, value := range u.env {
			word = strings.ReplaceAll(word, "${"+name+"}", value)
		}
		args = append(args, word)
	}
	return args
}

// words splits a line as systemd does: at blanks that are not in quotes.
func words(line string) (all []string) {
	var word strings.Builder
	var quote rune
	begun := false
	end := func() {
		if begun {
			all = append(all, word.String())
		}
		word.Reset()
		begun = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			end()
		default:
			begun = true
			word.WriteRune(r)
		}
	}
	end()
	return all
}

// flagValue is the last value of a flag.
func flagValue(args []string, name string) (value string, ok bool) {
	for i, arg := range args {
		if found, is := strings.CutPrefix(arg, "--"+name+"="); is {
			value, ok = found, true
		} else if arg == "--"+name && i+1 < len(args) {
			value, ok = args[i+1], true
		}
	}
	return value, ok
}
