package config

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
)

// maxMended bounds how many mistakes of one file are left out before the rest of it is.
const maxMended = 20

// salvage returns what can be used of sources that cannot be loaded: files that cannot be
// read, rows that cannot be parsed, unknown keys and invalid values are left out. The
// sockets and the state directory of a node are in it unless the mistake is there.
func (s Sources) salvage() Config {
	file, _ := s.file()
	dropIns, _ := s.dropIns()
	l := &Loaded{Config: Default(), origins: map[string]origin{}}
	for _, from := range slices.Concat(file, dropIns, s.given(), fromEnv(s.Env), fromFlags(s.Set)) {
		if from.err == nil {
			l.layMended(from)
		}
	}
	defaults := reflect.ValueOf(Default())
	var bad []Problem
	for _, err := range l.validate() {
		bad = append(bad, Problems(err)...)
	}
	for key, f := range fields("", reflect.ValueOf(l.Config)) {
		if slices.ContainsFunc(bad, func(p Problem) bool { return p.Key == key || strings.HasPrefix(p.Key, key+".") }) {
			reflect.ValueOf(&l.Config).Elem().FieldByIndex(f.index).Set(defaults.FieldByIndex(f.index))
		}
	}
	return l.Config
}

// layMended lays a layer without the rows that are not valid TOML.
func (l *Loaded) layMended(from layer) {
	for range maxMended {
		trial := &Loaded{Config: l.Config, origins: map[string]origin{}}
		problems := Problems(trial.lay(from))
		broken := slices.IndexFunc(problems, func(p Problem) bool { return p.Syntax })
		if broken < 0 {
			l.Config = trial.Config
			return
		}
		rows := bytes.Split(from.text, []byte("\n"))
		if row := problems[broken].Row; row >= 1 && row <= len(rows) {
			rows[row-1] = nil
		} else {
			return
		}
		from.text = bytes.Join(rows, []byte("\n"))
	}
}
