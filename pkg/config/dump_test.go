package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/config"
)

// What dump writes can be loaded and is the same
// configuration, with the origin behind each value.
func TestADumpLoadsAsTheSameConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := config.Sources{
		File: write(t, dir, "a\nb.toml", `version = 1
[select]
prefer_annotations = [{ key = "a\"\\\n", value = "ü", weight = 3 }, { key = "b", weight = 1 }]
[policy]
exempt_namespaces = ["x", "y"]
[policy.repositories."r.example:5000/team"]
mode = "audit"
no_fit = "forward"
[policy.repositories.localhost]
mode = "audit"
[policy.namespaces]
"a.b" = "enforce"
staging = "warn"
[tracing]
sample_ratio = 0.25
`),
		Set: []string{"cache.stale_for=90m", "registry.config_path="},
	}
	first, err := src.Load()
	if err != nil {
		t.Fatal(err)
	}
	text := first.TOML()
	for _, want := range []string{
		"\nstale_for = \"1h30m\" # --set cache.stale_for\n", "\n[policy.repositories.\"r.example:5000/team\"]\nmode = \"audit\" # ",
		"\n[policy.namespaces]\n\"a.b\" = \"enforce\" # ", "b.toml:7\n", "\nlog_level = \"info\" # default\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	again, err := parse(t, text)
	if err != nil || !reflect.DeepEqual(again, first.Config) {
		t.Errorf("%v\n%s\ngot  %+v\nwant %+v", err, text, again, first.Config)
	}
}

func TestSettingsNameEveryKey(t *testing.T) {
	t.Parallel()
	all := config.Settings()
	for _, want := range []string{"policy.mode=audit", "policy.mode=enforce", "policy.exempt_static_pods=false", "cache.max_size_mib=", "policy.repositories="} {
		if !slices.Contains(all, want) {
			t.Errorf("%s is not in %v", want, all)
		}
	}
}
