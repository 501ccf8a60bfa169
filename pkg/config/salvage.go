package config

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/tomlerr"
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
	for _, from := range slices.Concat(file, dropIns, fromEnv(s.Env), fromFlags(s.Set)) {
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

// layMended lays a layer without the rows that it cannot be decoded for.
func (l *Loaded) layMended(from layer) {
	for range maxMended {
		trial := &Loaded{Config: l.Config, origins: map[string]origin{}}
		problem, broken := errors.AsType[tomlerr.ParseError](trial.lay(from))
		if !broken || problem.Unknown || problem.Key == "version" {
			l.Config = trial.Config
			return
		}
		rows := bytes.Split(from.text, []byte("\n"))
		if problem.Row < 1 || problem.Row > len(rows) {
			return
		}
		rows[problem.Row-1] = nil
		from.text = bytes.Join(rows, []byte("\n"))
	}
}
