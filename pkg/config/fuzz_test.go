package config

import (
	"reflect"
	"slices"
	"testing"
)

// FuzzLoad: whatever the sources say, the configuration is read in whole or not
// at all, passes its own checks, and can be dumped and loaded again.
func FuzzLoad(f *testing.F) {
	f.Add("version = 1\n[proxy]\nlisten = \"/x\"\n", "[policy.repositories.\"a.b/c\"]\nmode = \"audit\"", "audit", "[\"a\"]", "policy.mode=audit")
	f.Add("version = 2\n[[proxy]]\n", "", "", "", "=")
	f.Add("version = 1", "select.prefer_annotations = [{ key = \"a\\u0000\", weight = 1 }]", "x", "1\nx = 2", "policy.repositories.\"a.b\".no_fit=refuse")
	f.Add("version = 1", "policy = { repositories = { \"a.b\" = { mode = \"audit\" } } }", "\xff", "", "state_dir=/\xff\"\\\n")
	f.Fuzz(func(t *testing.T, file, dropIn, mode, namespaces, set string) {
		env := fromEnv([]string{"IMAGEFIT_POLICY_MODE=" + mode, "IMAGEFIT_POLICY_EXEMPT_NAMESPACES=" + namespaces, set})
		layers := []layer{
			{source: "file", text: []byte(file), rows: true, versioned: true},
			{source: "drop-in", text: []byte(dropIn), rows: true},
		}
		got, err := load(slices.Concat(layers, env, fromFlags([]string{set})))
		if err != nil {
			if got != nil {
				t.Errorf("half read: %+v", got)
			}
			if len(Problems(err)) == 0 || err.Error() == "" {
				t.Errorf("nothing is said: %#v", err)
			}
			return
		}
		again, err := load([]layer{{source: "dump", text: []byte(got.TOML()), versioned: true}})
		if err != nil {
			t.Fatalf("%s\n%s", err, got.TOML())
		}
		if !reflect.DeepEqual(again.Config, got.Config) {
			t.Errorf("got  %+v\nwant %+v", again.Config, got.Config)
		}
	})
}
