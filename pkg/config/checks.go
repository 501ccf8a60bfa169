package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what makes sense.
const (
	shortest   = Duration(time.Millisecond)
	maxSizeMiB = 1 << 20
	maxWeight  = 1000
)

// check is the meaning of a tag "check": how a value is checked, and what of
// that a JSON Schema can say.
type check struct {
	value  func(any) error
	schema map[string]any
}

func checks() map[string]check {
	const oneDuration = `([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)`
	span := pattern(`^\+?(0|(` + oneDuration + `)+)$`)
	return map[string]check{
		"path":             {on(absolute), pattern("^/")},
		"path or none":     {on(orNone(absolute)), pattern("^(/|$)")},
		"folders":          {on(folders), pattern("^(auto$|/|:*$|:+/)")},
		"socket":           {on(socket), pattern("^(unix://)?/")},
		"socket or none":   {on(orNone(socket)), pattern("^((unix://)?/.*)?$")},
		"address":          {on(orNone(address)), pattern("^(unix:///.*|.*:[0-9]+)?$")},
		"url":              {on(orNone(collector)), pattern("^(https?://[^/?#@]+:[0-9]+/?)?$")},
		"name":             {on(func(name string) error { return names([]string{name}) }), map[string]any{"minLength": 1}},
		"names":            {on(names), map[string]any{"items": map[string]any{"type": "string", "minLength": 1}}},
		"index":            {on(pluginIndex), pattern("^[0-9]{2}$")},
		"duration":         {on(duration), span},
		"duration or none": {on(orNone(duration)), span},
		"size":             between(1, maxSizeMiB),
		"weight":           between(1, maxWeight),
		"ratio":            between(0.0, 1.0),
		"patterns":         {on(patterns), map[string]any{"items": pattern("^/")}},
		"time or none":     {on(orNone(timestamp)), pattern(`^([0-9]{4}-[0-9]{2}-[0-9]{2}T.*)?$`)},
	}
}

func between[N int | float64](least, most N) check {
	return check{on(func(n N) error {
		if n >= least && n <= most {
			return nil
		}
		return fmt.Errorf("%v is not between %v and %v", n, least, most)
	}), map[string]any{"minimum": least, "maximum": most}}
}

// on makes a check of any value of one of a type.
func on[T any](of func(T) error) func(any) error {
	return func(value any) error { return of(value.(T)) }
}

// orNone makes a check that also passes "" or 0.
func orNone[T comparable](of func(T) error) func(T) error {
	return func(value T) error {
		if value == *new(T) {
			return nil
		}
		return of(value)
	}
}

func pattern(expression string) map[string]any {
	return map[string]any{"pattern": expression}
}

func oneOf(value string, allowed []string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%q is not one of %s", value, strings.Join(allowed, ", "))
}

func absolute(path string) error {
	if filepath.IsAbs(path) {
		return nil
	}
	return fmt.Errorf("%q is not an absolute path", path)
}

// folders takes a list as containerd does, which may be empty.
func folders(list string) error {
	if list == Auto {
		return nil
	}
	for _, folder := range filepath.SplitList(list) {
		if err := absolute(folder); err != nil {
			return err
		}
	}
	return nil
}

func socket(endpoint string) error {
	if filepath.IsAbs(strings.TrimPrefix(endpoint, "unix://")) {
		return nil
	}
	return fmt.Errorf("%q is neither unix:///path nor an absolute path", endpoint)
}

// address takes what an HTTP server can listen on.
func address(listen string) error {
	if path, ok := strings.CutPrefix(listen, "unix://"); ok && filepath.IsAbs(path) {
		return nil
	}
	_, port, err := net.SplitHostPort(listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is neither host:port nor unix:///path nor \"\"", listen)
	}
	return nil
}

// collector takes where spans can be sent. A URL with a password is
// not repeated.
func collector(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err == nil && u.User != nil:
		return errors.New("a user or password in the URL is not sent, leave it out")
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Port() == "", u.Hostname() == "",
		u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return errors.New("is neither http://host:port nor https://host:port nor \"\"")
	}
	return nil
}

// duration refuses what is too short to be meant: a bare number reads as
// nanoseconds.
func duration(d Duration) error {
	if d >= shortest {
		return nil
	}
	return fmt.Errorf("%s is shorter than %s, a duration looks like \"5s\" or \"1h30m\"", d, shortest)
}

func names(values []string) error {
	if slices.Contains(values, "") {
		return errors.New("must not be empty")
	}
	return nil
}

// patterns takes absolute paths with the wildcards of a shell.
func patterns(values []string) error {
	for _, value := range values {
		if err := absolute(value); err != nil {
			return err
		}
		if _, err := filepath.Match(value, ""); err != nil {
			return fmt.Errorf("%q is not a pattern such as \"/etc/imagefit/keys.d/*.pub\"", value)
		}
	}
	return nil
}

func timestamp(value string) error {
	if _, err := time.Parse(time.RFC3339, value); err != nil {
		return fmt.Errorf("%q is not a time such as \"2026-11-01T00:00:00Z\"", value)
	}
	return nil
}

func pluginIndex(index string) error {
	if len(index) == 2 && strings.Trim(index, "0123456789") == "" {
		return nil
	}
	return fmt.Errorf("%q is not two digits", index)
}
