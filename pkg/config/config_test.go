package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/policy"
)

func TestAFileSetsWhatItStates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		change     func(*config.Config)
	}{
		{"defaults", ``, func(*config.Config) {}},
		{"a value", `log_level = "debug"`, func(c *config.Config) { c.LogLevel = "debug" }},
		{"a duration", "[proxy]\nselect_timeout = \"1m30s\"", func(c *config.Config) { c.Proxy.SelectTimeout = config.Duration(90 * time.Second) }},
		{"the shortest duration", "[facts]\nrefresh = \"1ms\"", func(c *config.Config) { c.Facts.Refresh = config.Duration(time.Millisecond) }},
		{"no time to live", "[cache]\nreferrers_ttl = \"0s\"", func(c *config.Config) { c.Cache.ReferrersTTL = 0 }},
		{"a list replaces the default", "[policy]\nexempt_namespaces = [\"a\", \"b\"]", func(c *config.Config) { c.Policy.ExemptNamespaces = []string{"a", "b"} }},
		{"an empty list", "[policy]\nexempt_namespaces = []", func(c *config.Config) { c.Policy.ExemptNamespaces = []string{} }},
		{"false over true", "[policy]\nexempt_static_pods = false", func(c *config.Config) { c.Policy.ExemptStaticPods = false }},
		{"a socket as a path", "[proxy]\nlisten = \"/run/x.sock\"", func(c *config.Config) { c.Proxy.Listen = "/run/x.sock" }},
		{"several registry folders", "[registry]\nconfig_path = \"/a:/b\"", func(c *config.Config) { c.Registry.ConfigPath = "/a:/b" }},
		{"no registry folder", "[registry]\nconfig_path = \"\"", func(c *config.Config) { c.Registry.ConfigPath = "" }},
		{"dotted key", `policy.mode = "audit"`, func(c *config.Config) { c.Policy.Mode = policy.Audit }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parse(t, "version = 1\n"+tt.text)
			if err != nil {
				t.Fatal(err)
			}
			want := config.Default()
			tt.change(&want)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestMistakesNameRowAndKey(t *testing.T) {
	t.Parallel()
	const tooLong = "is shorter than 1ms, a duration looks like"
	tests := []struct{ name, text, want string }{
		{"unknown key", "[proxy]\nlistenn = \"x\"", "row 3, column 1: unknown key proxy.listenn (is proxy.listen meant?)"},
		{"unknown table", "[colours]\nred = 1", "row 2, column 2: unknown key colours"},
		{"key in the wrong table", "mode = \"audit\"", "row 2, column 1: unknown key mode"},
		{"wrong type", "[cache]\nmax_size_mib = \"big\"", "row 3, column 16, key cache.max_size_mib: is a string, expected a whole number"},
		{"table for a value", "[state_dir]\nx = 1", "row 2, column 2, key state_dir: is a table, expected a string"},
		{"value for a table", "proxy = 3", "row 2, column 9, key proxy: is a whole number, expected a table"},
		{"bad duration", "[proxy]\nselect_timeout = \"5 seconds\"", `row 3, column 18, key proxy.select_timeout: "5 seconds" is not a duration such as "5s" or "1h30m"`},
		{"bare number as duration", "[proxy]\nselect_timeout = 5", "row 3, key proxy.select_timeout: 5ns " + tooLong},
		{"no time to drain", "[proxy]\ndrain_timeout = \"0s\"", "row 3, key proxy.drain_timeout: 0s " + tooLong},
		{"negative duration", "[facts]\nrefresh = \"-1m\"", "row 3, key facts.refresh: -1m " + tooLong},
		{"negative time to live", "[cache]\nreferrers_ttl = \"-1s\"", "row 3, key cache.referrers_ttl: -1s " + tooLong},
		{"syntax", "state_dir = /var", "row 2, column 13: "},
		{"twice", "state_dir = \"/a\"\nstate_dir = \"/b\"", "row 3, column 1, key state_dir: key state_dir is already defined"},
		{"log level", `log_level = "loud"`, `row 2, key log_level: "loud" is not one of debug, info, warn, error`},
		{"mode", `policy.mode = "on"`, `row 2, key policy.mode: "on" is not one of enforce, warn, audit`},
		{"no fit", `policy.no_fit = "unknown"`, `row 2, key policy.no_fit: "unknown" is not one of refuse, forward`},
		{"registry error", `policy.registry_error = ""`, `row 2, key policy.registry_error: "" is not one of refuse, forward`},
		{"malformed", `policy.malformed_artifact = "refuse"`, `row 2, key policy.malformed_artifact: "refuse" is not one of unknown, ignore, unfit`},
		{"attribute", `policy.unknown_attribute = "refuse"`, `row 2, key policy.unknown_attribute: "refuse" is not one of unknown, ignore, unfit`},
		{"state folder", `state_dir = "var"`, `row 2, key state_dir: "var" is not an absolute path`},
		{"facts root", `facts.root = ""`, `row 2, key facts.root: "" is not an absolute path`},
		{"nri socket", `nri.socket = "nri.sock"`, `row 2, key nri.socket: "nri.sock" is not an absolute path`},
		{"registry folders", `registry.config_path = "/a:b"`, `row 2, key registry.config_path: "b" is not an absolute path`},
		{"endpoint", `runtime.endpoint = ""`, `row 2, key runtime.endpoint: "" is neither unix:///path nor an absolute path`},
		{"listen on tcp", `proxy.listen = "tcp://127.0.0.1:1"`, `row 2, key proxy.listen: "tcp://127.0.0.1:1" is neither unix:///path nor an absolute path`},
		{"two slashes", `proxy.listen = "unix://run/x.sock"`, `row 2, key proxy.listen: "unix://run/x.sock" is neither unix:///path nor an absolute path`},
		{"image endpoint", `runtime.image_endpoint = "soci.sock"`, `row 2, key runtime.image_endpoint: "soci.sock" is neither unix:///path nor an absolute path`},
		{"namespace", `runtime.namespace = ""`, `row 2, key runtime.namespace: must not be empty`},
		{"plugin name", `nri.plugin_name = ""`, `row 2, key nri.plugin_name: must not be empty`},
		{"exempt namespace", `policy.exempt_namespaces = ["a", ""]`, `row 2, key policy.exempt_namespaces: must not be empty`},
		{"plugin index, long", `nri.plugin_index = "100"`, `row 2, key nri.plugin_index: "100" is not two digits`},
		{"plugin index, letters", `nri.plugin_index = "1a"`, `row 2, key nri.plugin_index: "1a" is not two digits`},
		{"no room", `cache.max_size_mib = 0`, `row 2, key cache.max_size_mib: 0 is not between 1 and 1048576`},
		{"room that overflows", `cache.max_size_mib = 9000000000000000`, `row 2, key cache.max_size_mib: 9000000000000000 is not between 1 and 1048576`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			refused(t, "version = 1\n"+tt.text, tt.want)
		})
	}
}

func TestTheFileHasToStateTheVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "key version: is 0, expected 1 as the first line: version = 1",
		"log_level = \"info\"":             "key version: is 0, expected 1",
		"version = 2":                      "key version: is 2, expected 1",
		"version = 2\n[later]\nkey = true": "key version: is 2, expected 1",
		"version = \"1\"":                  "row 1, column 11, key version: is a string, expected a whole number",
	} {
		refused(t, text, want)
	}
}

// Whoever mends a file wants to mend it once.
func TestAllMistakesArePrintedAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"values, types and names": {`
version = 1
state_dir = "x"
nope = 1
[policy]
mode = "on"
moode = "audit"
exempt_namespaces = "kube-system"
[nri]
look_up = "yes"
plugin_index = "x"
[cache]
max_size_mib = [
  "256",
]
`, []string{
			`row 3, key state_dir: "x" is not an absolute path`, "row 4, column 1: unknown key nope",
			`row 6, key policy.mode: "on" is not one of enforce, warn, audit`,
			"row 7, column 1: unknown key policy.moode (is policy.mode meant?)",
			"row 8, column 21, key policy.exempt_namespaces: is a string, expected a list of strings",
			"row 10, column 11, key nri.look_up: is a string, expected true or false",
			`row 11, key nri.plugin_index: "x" is not two digits`,
			"row 13, column 16, key cache.max_size_mib: is a list, expected a whole number",
		}},
		"a table for a value": {"version = 1\n[state_dir]\na = 1\nb = 2\n[log_level]\nc = 1\n[cache]\nmax_size_mib = 0\n", []string{
			"row 2, column 2, key state_dir: is a table, expected a string",
			"row 5, column 2, key log_level: is a table, expected a string",
			"row 8, key cache.max_size_mib: 0 is not between 1 and 1048576",
		}},
		"up to what is not TOML": {"version = 1\nlog_level = 3\nlog_format = \"loud\"\nstate_dir = = 1\nnri = 4\n", []string{
			"row 2, column 13, key log_level: is a whole number, expected a string",
			`row 3, key log_format: "loud" is not one of`, "row 4, column 13: unexpected character",
		}},
		"of an inline table": {"version = 1\nproxy = { listen = 3, select_timeout = \"x\" }\nlog_level = 3\n", []string{
			"row 2, column 20, key proxy: is a whole number, expected a string",
			"row 3, column 13, key log_level: is a whole number, expected a string",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(t, test.text)
			if err == nil {
				t.Fatal("was read")
			}
			got := strings.Split(err.Error(), "\n")
			for i, line := range got {
				_, said, _ := strings.Cut(line, "config.toml: ")
				if i < len(test.want) && !strings.HasPrefix(said, test.want[i]) {
					t.Errorf("got  %s\nwant %s", said, test.want[i])
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("%d lines, want %d:\n%s", len(got), len(test.want), err)
			}
		})
	}
}

func refused(t *testing.T, text, want string) {
	t.Helper()
	got, err := parse(t, text)
	if err == nil {
		t.Fatalf("%q was read: %+v", text, got)
	}
	_, said, _ := strings.Cut(err.Error(), "config.toml: ")
	if !strings.HasPrefix(said, want) {
		t.Errorf("got  %s\nwant %s", said, want)
	}
	if !reflect.DeepEqual(got, config.Config{}) {
		t.Errorf("half read: %+v", got)
	}
}

// parse loads a text as the only source.
func parse(t *testing.T, text string) (config.Config, error) {
	t.Helper()
	loaded, err := config.Sources{File: write(t, t.TempDir(), "config.toml", text)}.Load()
	if loaded == nil {
		return config.Config{}, err
	}
	return loaded.Config, err
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Who changes one configuration changes no other.
func TestDefaultsAreNotSharedBetweenCallers(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Policy.ExemptNamespaces[0] = "changed"
	if got := config.Default().Policy.ExemptNamespaces[0]; got != "kube-system" {
		t.Errorf("the default is now %q", got)
	}
}
