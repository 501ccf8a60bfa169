package config

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

// validate says of every value that cannot be used, not only of the first, where it
// was set.
func (l *Loaded) validate() []error {
	v := validation{origins: l.origins, checks: checks()}
	v.table("", reflect.ValueOf(l.Config), false)
	var all []error
	for _, p := range v.problems {
		o := l.origins[p.Key]
		p.Row = o.row
		all = append(all, Problem{Source: o.source, ParseError: p})
	}
	return all
}

// validateTogether checks what only several keys tell.
func (l *Loaded) validateTogether() []error {
	path := func(endpoint string) string { return strings.TrimPrefix(endpoint, "unix://") }
	listen := path(l.Config.Proxy.Listen)
	o := l.origins["proxy.listen"]
	for _, called := range []struct{ key, endpoint string }{
		{"runtime.endpoint", path(l.Config.Runtime.Endpoint)}, {"runtime.image_endpoint", path(l.Config.Runtime.ImageEndpoint)},
	} {
		if !filepath.IsAbs(listen) || called.endpoint == "" || !fsutil.SameFile(listen, called.endpoint) {
			continue
		}
		return []error{Problem{Source: o.source, ParseError: tomlerr.ParseError{
			Key: "proxy.listen", Row: o.row,
			Message: fmt.Sprintf("%s leads to %s %s: the proxy would call itself; name a socket of its own", listen, called.key, called.endpoint),
		}}}
	}
	return nil
}

type validation struct {
	origins  map[string]origin // of the keys that some source gives a value to
	checks   map[string]check
	problems []tomlerr.ParseError
}

// table checks the keys of a struct by their tags. In an optional one only those that
// are stated are checked.
func (v *validation) table(name string, table reflect.Value, optional bool) {
	for key, f := range fields(name, table) {
		check := f.tag.Get("check")
		_, stated := v.origins[key]
		switch {
		case optional && !stated:
		case f.value.Kind() == reflect.Map: // below
		case f.tag.Get("words") != "":
			v.note(key, oneOf(f.value.String(), f.words()))
		case check != "":
			v.note(key, v.checks[check].value(f.value.Interface()))
		}
		if f.isOverrides() {
			for prefix, answers := range f.overrides() {
				override := key + "." + tomlerr.Key([]string{prefix})
				v.note(override, checkPrefix(prefix))
				v.table(override, answers, true)
			}
		}
		switch several := f.value.Interface().(type) {
		case map[string]string:
			for _, name := range slices.Sorted(maps.Keys(several)) {
				v.note(key+"."+tomlerr.Key([]string{name}), errors.Join(names([]string{name}), oneOf(several[name], f.words())))
			}
		case []Preference:
			for i, preference := range several {
				inside := validation{checks: v.checks}
				inside.table("", reflect.ValueOf(preference), false)
				for _, p := range inside.problems {
					v.note(key, fmt.Errorf("entry %d: %w", i+1, p))
				}
			}
		}
	}
}

func (v *validation) note(key string, err error) {
	if err != nil {
		v.problems = append(v.problems, tomlerr.ParseError{Key: key, Message: err.Error()})
	}
}
