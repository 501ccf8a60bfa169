package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/policy"
)

// Each layer counts more than the one before it, and every value
// knows which it was.
func TestLaterSourcesOverrideEarlierOnes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "config.toml", "version = 1\nlog_level = \"debug\"\nlog_format = \"json\"\n[cache]\nmax_size_mib = 1\n[policy]\nmode = \"audit\"\n")
	first := write(t, dir, "conf.d/10-a.toml", "log_format = \"text\"\n[cache]\nmax_size_mib = 2\nreferrers_ttl = \"2m\"\n")
	second := write(t, dir, "conf.d/9-b.toml", "version = 1\ncache.max_size_mib = 3\ncache = { stale_for = \"1h\" }\n")
	write(t, dir, "conf.d/README", "not TOML")
	_, err := config.Sources{File: file}.Load()
	if err == nil || !strings.Contains(err.Error(), second+": row 3") {
		t.Errorf("TOML has no table twice, got %v", err)
	}
	write(t, dir, "conf.d/9-b.toml", "version = 1\n\ncache = { stale_for = \"1h\", max_size_mib = 3 }\n")

	got, err := config.Sources{
		File: file,
		Env:  []string{"IMAGEFIT_CACHE_MAX_SIZE_MIB=4", "IMAGEFIT_LOG_LEVEL=warn", "PATH=/bin", "IMAGEFIT_PROXY_SELECT_TIMEOUT=7s"},
		Set:  []string{"cache.max_size_mib=5", "policy.exempt_namespaces=[\"a\"]"},
	}.Load()
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.LogLevel, want.LogFormat, want.Policy.Mode = "warn", config.Text, policy.Audit
	want.Proxy.SelectTimeout = config.Duration(7 * time.Second)
	want.Cache = config.Cache{ReferrersTTL: config.Duration(2 * time.Minute), StaleFor: config.Duration(time.Hour), MaxSizeMiB: 5}
	want.Policy.ExemptNamespaces = []string{"a"}
	if !reflect.DeepEqual(got.Config, want) {
		t.Errorf("got  %+v\nwant %+v", got.Config, want)
	}
	for key, origin := range map[string]string{
		"state_dir": "default", "policy.mode": file + ":7", "log_format": first + ":1", "cache.referrers_ttl": first + ":4",
		"cache.stale_for": second + ":3", "log_level": "env IMAGEFIT_LOG_LEVEL", "cache.max_size_mib": "--set cache.max_size_mib",
		"policy.exempt_namespaces": "--set policy.exempt_namespaces",
	} {
		if o := got.Origin(key); o != origin {
			t.Errorf("%s: origin %q, want %q", key, o, origin)
		}
	}
	if want := []string{file, first, second}; !slices.Equal(got.Files, want) {
		t.Errorf("read %v, want %v", got.Files, want)
	}
}

// Tables are merged, also those of repositories; lists are replaced.
func TestTablesAreMergedAndListsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "config.toml", `version = 1
[[select.prefer_annotations]]
key = "a"
value = "old"
weight = 5
[policy.repositories."r.example/team"]
mode = "audit"
no_fit = "forward"
[policy.repositories."r.example"]
no_fit = "refuse"
[policy.namespaces]
staging = "warn"
lab = "warn"
`)
	write(t, dir, "conf.d/1.toml", `[select]
prefer_annotations = [{ key = "b", weight = 1 }]
[policy]
repositories = { "r.example/team" = { mode = "enforce" }, "s.example" = { mode = "audit" } }
namespaces = { lab = "audit", "a.b" = "enforce" }
`)
	got, err := config.Sources{File: file, Set: []string{`policy.repositories."r.example/team".no_artifact=refuse`}}.Load()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]policy.Answers{
		"r.example/team": {Mode: policy.Enforce, NoFit: policy.Forward, NoArtifact: policy.Refuse},
		"r.example":      {NoFit: policy.Refuse},
		"s.example":      {Mode: policy.Audit},
	}
	if !reflect.DeepEqual(got.Config.Policy.Repositories, want) {
		t.Errorf("got  %+v\nwant %+v", got.Config.Policy.Repositories, want)
	}
	if modes := map[string]string{"staging": "warn", "lab": "audit", "a.b": "enforce"}; !maps.Equal(got.Config.Policy.Namespaces, modes) {
		t.Errorf("namespaces %v, want %v", got.Config.Policy.Namespaces, modes)
	}
	if got := got.Config.Select.PreferAnnotations; !reflect.DeepEqual(got, []config.Preference{{Key: "b", Weight: 1}}) {
		t.Errorf("preferences %+v", got)
	}
	for key, origin := range map[string]string{
		`policy.repositories."r.example/team".no_fit`: file + ":8",
		`policy.repositories."r.example/team".mode`:   filepath.Join(dir, "conf.d/1.toml") + ":4",
		"select.prefer_annotations":                   filepath.Join(dir, "conf.d/1.toml") + ":2",
	} {
		if o := got.Origin(key); o != origin {
			t.Errorf("%s: origin %q, want %q", key, o, origin)
		}
	}
}

// An error names the source, the key and the value.
func TestMistakesNameTheirSource(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file, dropIn string
		env, set           []string
		want               []string
	}{
		{name: "in a drop-in", dropIn: "\n[policy]\nmoode = \"audit\"", want: []string{"1.toml: row 3, column 1: unknown key policy.moode (is policy.mode meant?)"}},
		{name: "version of a drop-in", dropIn: "version = 2\nnew = 1", want: []string{"1.toml: key version: is 2, expected 1"}},
		{
			name: "a value over a value", file: "log_level = \"info\"", dropIn: "log_level = \"loud\"",
			want: []string{"1.toml: row 1, key log_level: \"loud\" is not one of debug, info, warn, error"},
		},
		{name: "variable, value", env: []string{"IMAGEFIT_POLICY_MODE=on"}, want: []string{`env IMAGEFIT_POLICY_MODE: key policy.mode: "on" is not one of enforce, warn, audit`}},
		{name: "variable, empty", env: []string{"IMAGEFIT_POLICY_MODE="}, want: []string{`env IMAGEFIT_POLICY_MODE: key policy.mode: "" is not one of enforce, warn, audit`}},
		{name: "variable, name", env: []string{"IMAGEFIT_POLICY_MOD=on"}, want: []string{"env IMAGEFIT_POLICY_MOD: no key has this variable (is IMAGEFIT_POLICY_MODE meant?)"}},
		{name: "variable, type", env: []string{"IMAGEFIT_CACHE_MAX_SIZE_MIB=\"big\""}, want: []string{"env IMAGEFIT_CACHE_MAX_SIZE_MIB: key cache.max_size_mib: is a string, expected a whole number"}},
		{name: "variable, two lines", env: []string{"IMAGEFIT_CACHE_MAX_SIZE_MIB=1\npolicy.mode = \"audit\""}, want: []string{`env IMAGEFIT_CACHE_MAX_SIZE_MIB: key cache.max_size_mib: "1\npolicy.mode = \"audit\"" is not one TOML value`}},
		{name: "variable, no TOML", env: []string{"IMAGEFIT_POLICY_EXEMPT_STATIC_PODS=yes"}, want: []string{`env IMAGEFIT_POLICY_EXEMPT_STATIC_PODS: key policy.exempt_static_pods: "yes" is not one TOML value, such as 5, true`}},
		{name: "flag, key", set: []string{"policy.moode=audit"}, want: []string{"--set policy.moode: unknown key policy.moode (is policy.mode meant?)"}},
		{name: "flag, value", set: []string{"proxy.select_timeout=5"}, want: []string{`--set proxy.select_timeout: key proxy.select_timeout: "5" is not a duration`}},
		{name: "flag, no value", set: []string{"policy.mode"}, want: []string{`--set: "policy.mode" is not key=value`}},
		{name: "flag, no key", set: []string{"=audit"}, want: []string{`--set: "=audit" is not key=value`}},
		{name: "flag, two keys", set: []string{"a\nb=audit"}, want: []string{"is not key=value"}},
		{
			name: "all at once", file: "x = 1\nstate_dir = \"y\"", env: []string{"IMAGEFIT_Z=1"}, set: []string{"nri.plugin_index=x"},
			want: []string{"config.toml: row 2, column 1: unknown key x", "row 3, key state_dir", "env IMAGEFIT_Z", "--set nri.plugin_index: key nri.plugin_index"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := write(t, dir, "config.toml", "version = 1\n"+tt.file)
			write(t, dir, "conf.d/1.toml", tt.dropIn)
			got, err := config.Sources{File: file, Env: tt.env, Set: tt.set}.Load()
			if err == nil {
				t.Fatalf("was loaded: %+v", got)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in\n%s", want, err)
				}
			}
			if n := len(config.Problems(err)); n != len(tt.want) {
				t.Errorf("%d problems, want %d:\n%s", n, len(tt.want), err)
			}
		})
	}
}

// What Kubernetes puts into the environment of pods beside
// a Service named imagefit is not meant for us.
func TestServiceVariablesOfKubernetesAreIgnored(t *testing.T) {
	t.Parallel()
	file := write(t, t.TempDir(), "config.toml", "version = 1")
	_, err := config.Sources{File: file, Env: []string{
		"IMAGEFIT_SERVICE_HOST=10.0.0.1", "IMAGEFIT_SERVICE_PORT=9460", "IMAGEFIT_SERVICE_PORT_METRICS=9460", "IMAGEFIT_PORT=tcp://10.0.0.1:9460",
		"IMAGEFIT_PROXY_PORT_9460_TCP=tcp://10.0.0.1:9460", "IMAGEFIT_PROXY_PORT_9460_TCP_ADDR=10.0.0.1",
	}}.Load()
	if err != nil {
		t.Error(err)
	}
}

func TestASourceThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		make func(t *testing.T, dir string) config.Sources
		want string
	}{
		{"file is missing", func(_ *testing.T, dir string) config.Sources {
			return config.Sources{File: filepath.Join(dir, "missing.toml")}
		}, "read configuration: open "},
		{"file is a folder", func(_ *testing.T, dir string) config.Sources {
			return config.Sources{File: dir}
		}, "read configuration: read "},
		{"file is large", func(t *testing.T, dir string) config.Sources {
			return config.Sources{File: write(t, dir, "large.toml", "version = 1\n#"+strings.Repeat("x", 64<<10))}
		}, "larger than 65536 bytes"},
		{"folder is missing", func(_ *testing.T, dir string) config.Sources {
			return config.Sources{File: filepath.Join(dir, "config.toml"), Dir: filepath.Join(dir, "missing.d")}
		}, "list drop-ins: open "},
		{"folder is a file", func(t *testing.T, dir string) config.Sources {
			return config.Sources{File: filepath.Join(dir, "config.toml"), Dir: filepath.Join(dir, "config.toml")}
		}, "list drop-ins: "},
		{"drop-in is a folder", func(t *testing.T, dir string) config.Sources {
			write(t, dir, "conf.d/a.toml/b", "")
			return config.Sources{File: filepath.Join(dir, "config.toml")}
		}, "conf.d/a.toml: not a regular file"},
		{"drop-in is a pipe", func(t *testing.T, dir string) config.Sources {
			write(t, dir, "conf.d/b", "")
			if err := syscall.Mkfifo(filepath.Join(dir, "conf.d/a.toml"), 0o600); err != nil {
				t.Fatal(err)
			}
			return config.Sources{File: filepath.Join(dir, "config.toml")}
		}, "conf.d/a.toml: not a regular file"},
		{"drop-in leads nowhere", func(t *testing.T, dir string) config.Sources {
			write(t, dir, "conf.d/b", "")
			if err := os.Symlink("nothing", filepath.Join(dir, "conf.d/a.toml")); err != nil {
				t.Fatal(err)
			}
			return config.Sources{File: filepath.Join(dir, "config.toml")}
		}, "conf.d/a.toml: no such file"},
		{"drop-in is large", func(t *testing.T, dir string) config.Sources {
			write(t, dir, "conf.d/a.toml", "#"+strings.Repeat("x", 64<<10))
			return config.Sources{File: filepath.Join(dir, "config.toml")}
		}, "conf.d/a.toml: larger than 65536 bytes"},
		{"drop-ins are many", func(t *testing.T, dir string) config.Sources {
			for i := range 257 {
				write(t, dir, fmt.Sprintf("conf.d/%d.toml", i), "")
			}
			return config.Sources{File: filepath.Join(dir, "config.toml")}
		}, "more than 256 files *.toml in "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, "config.toml", "version = 1")
			_, err := tt.make(t, dir).Load()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if strings.HasSuffix(tt.name, "missing") && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v does not say that nothing is there", err)
			}
		})
	}
}

// Kubernetes mounts the files of a ConfigMap as links.
func TestADropInMayBeAMountedConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "config.toml", "version = 1")
	write(t, dir, "conf.d/..data/a", "log_level = \"debug\"")
	if err := os.Symlink("..data/a", filepath.Join(dir, "conf.d/a.toml")); err != nil {
		t.Fatal(err)
	}
	got, err := config.Sources{File: file}.Load()
	if err != nil || got.Config.LogLevel != "debug" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTheDefaultFileNeedNotExist(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Dir(config.DefaultPath)); err == nil {
		t.Skip(filepath.Dir(config.DefaultPath) + " exists on this machine")
	}
	got, err := config.Sources{}.Load()
	if err != nil || !reflect.DeepEqual(got.Config, config.Default()) || len(got.Files) > 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}
