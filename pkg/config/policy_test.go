package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/config"
)

func TestRepositoriesOverrideThePolicy(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{
		"docker.io", "docker.io/library/busybox", "r.example", "r.example/team", "r.example:5000", "r.example:5000/a/b-c_d", "localhost", "[::1]:5000/x",
	} {
		if _, err := parse(t, "version = 1\n[policy.repositories.\""+prefix+"\"]\nmode = \"audit\""); err != nil {
			t.Error(err)
		}
	}
	for prefix, want := range map[string]string{
		"":                      `"" does not begin with the host of a registry`,
		"team/app":              "does not begin with the host of a registry, such as docker.io",
		"busybox":               "does not begin with the host of a registry",
		"index.docker.io/x":     "never matches: that registry is named docker.io",
		"https://r.example":     "is not a repository",
		"r.example/":            "is not a repository",
		"r.example/team/":       "is not a repository such as docker.io/library/busybox, without scheme, tag and trailing slash",
		"r.example/Team":        "is not a repository",
		"r.example/app:v1":      "is not a repository",
		"r.example/app@sha256:": "is not a repository",
		"r.example/*":           "is not a repository",
		"*.example":             "is not a registry host",
		"r.example:port":        "is not a registry host",
	} {
		_, err := parse(t, "version = 1\n[policy.repositories.\""+prefix+"\"]\nmode = \"audit\"")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "row 2, key policy.repositories.") {
			t.Errorf("%s: got %v, want %s", prefix, err, want)
		}
	}
	for text, want := range map[string]string{
		`mode = "on"`:               `row 3, key policy.repositories."r.example".mode: "on" is not one of enforce, warn, audit`,
		`no_fit = ""`:               `row 3, key policy.repositories."r.example".no_fit: "" is not one of refuse, forward`,
		`no_artefact = "x"`:         `row 3, column 1: unknown key policy.repositories."r.example".no_artefact (is policy.repositories."r.example".no_artifact meant?)`,
		`exempt_namespaces = []`:    `row 3, column 1: unknown key policy.repositories."r.example".exempt_namespaces`,
		"mode = \"audit\"\n[nri.x]": `row 4, column 2: unknown key nri.x`,
	} {
		refused(t, "version = 1\n[policy.repositories.\"r.example\"]\n"+text, want)
	}
}

func TestNamespacesHaveAMode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`staging = "on"`: `row 3, key policy.namespaces.staging: "on" is not one of enforce, warn, audit`,
		`"" = "warn"`:    `row 3, key policy.namespaces."": must not be empty`,
		`staging = 1`:    `row 3`,
	} {
		refused(t, "version = 1\n[policy.namespaces]\n"+text, want)
	}
}

func TestValuesOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`log_format = "xml"`:                     `"xml" is not one of auto, json, text`,
		`runtime.config = ""`:                    `"" is not an absolute path`,
		`proxy.http_listen = "9460"`:             `"9460" is neither host:port nor unix:///path nor ""`,
		`proxy.http_listen = "localhost:http"`:   `"localhost:http" is neither`,
		`nri.http_listen = "unix://x"`:           `"unix://x" is neither`,
		`nri.http_listen = "127.0.0.1:65536"`:    `"127.0.0.1:65536" is neither`,
		`cache.stale_for = "-1h"`:                "-1h is shorter than 1ms",
		`policy.no_artifact = "unknown"`:         `"unknown" is not one of select, forward, refuse`,
		`policy.no_referrers_api = "refuse"`:     `"refuse" is not one of tag, none, error`,
		`policy.image_verifier = "refuse"`:       `"refuse" is not one of forward, signed, select`,
		`policy.mode_annotation_namespaces=[""]`: "must not be empty",
		`tracing.endpoint = "localhost:4317"`:    "is neither http://host:port",
		`tracing.endpoint = "http://localhost"`:  "is neither http://host:port",
		`tracing.endpoint = "http://h:1/v1"`:     "is neither http://host:port",
		`tracing.endpoint = "http://u:p@h:1"`:    "a user or password in the URL is not sent",
		`tracing.sample_ratio = 1.5`:             "1.5 is not between 0 and 1",
		`tracing.sample_ratio = nan`:             "NaN is not between 0 and 1",
		`select.prefer_annotations=[{weight=1}]`: "entry 1: key key: must not be empty",
		`select.prefer_annotations=[{key="a"}]`:  "entry 1: key weight: 0 is not between 1 and 1000",
	} {
		key, _, _ := strings.Cut(text, "=")
		refused(t, "version = 1\n"+text, "row 2, key "+strings.TrimSpace(key)+": "+want)
	}
	_, err := parse(t, "version = 1\ntracing.endpoint = \"http://user:secret@h:1\"")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a password is repeated: %v", err)
	}
}

func TestValuesAtTheBoundsAreRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`proxy.http_listen = ""`, `proxy.http_listen = ":9460"`, `proxy.http_listen = "[::1]:9460"`, `nri.http_listen = "unix:///run/x.sock"`,
		`tracing.endpoint = "https://collector.example:4317"`, `tracing.endpoint = "http://[::1]:4317/"`, `tracing.sample_ratio = 0`,
		`cache.stale_for = "0s"`, `policy.mode_annotation_namespaces = ["*"]`,
	} {
		if _, err := parse(t, "version = 1\n"+text); err != nil {
			t.Error(err)
		}
	}
}

func TestHostsPathIsThatOfTheRuntimeUnlessConfigured(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		own, runtime string
		known        bool
		want         string
	}{
		{"auto", "", false, "/etc/containerd/certs.d"},
		{"auto", "", true, ""},
		{"auto", "/a:/b", false, "/a:/b"},
		{"/c", "/a", true, "/c"},
		{"", "/a", true, ""},
	} {
		if got := (config.Registry{ConfigPath: tt.own}).HostsPath(tt.runtime, tt.known); got != tt.want {
			t.Errorf("%q and the runtime %q: got %q, want %q", tt.own, tt.runtime, got, tt.want)
		}
	}
}

// TestAReloadAppliesWhatNeedsNoRestart changes every value in turn.
func TestAReloadAppliesWhatNeedsNoRestart(t *testing.T) {
	t.Parallel()
	var got []string
	var change func(of func(*config.Config) reflect.Value)
	change = func(of func(*config.Config) reflect.Value) {
		before, after := config.Default(), config.Default()
		v := of(&after)
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				change(func(c *config.Config) reflect.Value { return of(c).Field(i) })
			}
			return
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Int, reflect.Int64:
			v.SetInt(v.Int() + 1)
		case reflect.Float64:
			v.SetFloat(v.Float() / 2)
		case reflect.Bool:
			v.SetBool(!v.Bool())
		default:
			v.SetZero()
		}
		taken, waiting := config.TakeUp(before, after)
		want := after
		if len(waiting) > 0 {
			want = before
		}
		if !reflect.DeepEqual(taken, want) {
			t.Errorf("waiting for %v, taken up %+v", waiting, taken)
		}
		got = append(got, waiting...)
	}
	change(func(c *config.Config) reflect.Value { return reflect.ValueOf(c).Elem() })
	want := []string{
		"state_dir", "log_format", "runtime.endpoint", "runtime.image_endpoint", "runtime.namespace", "runtime.config", "proxy.listen", "proxy.http_listen", "cache.max_size_mib", "facts.root", "facts.refresh",
		"nri.socket", "nri.http_listen", "nri.plugin_name", "nri.plugin_index", "nri.look_up", "nri.credentials", "tracing.endpoint", "tracing.sample_ratio",
		"controller.http_listen", "controller.timeout", "controller.resolve_ttl", "controller.strict", "controller.credentials", "controller.pull_secrets", "controller.node_features",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if _, got := config.TakeUp(config.Default(), config.Default()); got != nil {
		t.Errorf("nothing changed, got %v", got)
	}
}
