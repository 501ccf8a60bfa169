package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMigrationMakesAFileThatLoads(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, before, after string
	}{
		{"of this version", "# ours\nversion = 1\nlog_level = \"warn\"\n", "# ours\nversion = 1\nlog_level = \"warn\"\n"},
		{"empty", "", "version = 1\n"},
		{"without a version", "log_level = \"warn\"\n", "version = 1\nlog_level = \"warn\"\n"},
		{"of a newer version", "version = 2 # new\nlog_level = \"warn\"\n", "version = 1\nlog_level = \"warn\"\n"},
		{
			"unknown keys", "version = 1\ncolour = \"red\"\nshade = 1\nlog_level = \"warn\"\n",
			"version = 1\n" + notKnown + "\n# colour = \"red\"\n" + notKnown + "\n# shade = 1\nlog_level = \"warn\"\n",
		},
		{
			"a key of several rows", "version = 1\n\n[policy]\nmode = \"warn\"\nfuture = [\n  1,\n  # two\n  2,\n]\n\n# The socket.\n[proxy]\nlisten = \"unix:///run/x.sock\"\n",
			"version = 1\n\n[policy]\nmode = \"warn\"\n" + notKnown + "\n# future = [\n#   1,\n  # two\n#   2,\n# ]\n\n# The socket.\n[proxy]\nlisten = \"unix:///run/x.sock\"\n",
		},
		{
			"a table of a newer version", "version = 2\n[future]\na = 1\nb = 2\n\n[policy]\nmode = \"audit\"\n",
			"version = 1\n" + notKnown + "\n# [future]\n# a = 1\n# b = 2\n\n[policy]\nmode = \"audit\"\n",
		},
		{"the last row, without its end", "version = 1\nfuture = 1", "version = 1\n" + notKnown + "\n# future = 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(path, []byte(test.before), 0o640); err != nil {
				t.Fatal(err)
			}
			all, err := Sources{File: path}.Migrate()
			if err != nil || len(all) != 1 {
				t.Fatalf("%v, %v", all, err)
			}
			m := all[0]
			if m.After != test.after || len(m.Left) > 0 || m.Changed() != (test.before != test.after) {
				t.Errorf("changed %v, left %v, became\n%s\nwant\n%s", m.Changed(), m.Left, m.After, test.after)
			}
			if err := m.Write(); err != nil {
				t.Fatal(err)
			}
			if _, err := (Sources{File: path}).Load(); err != nil {
				t.Errorf("what was migrated does not load: %v", err)
			}
			kept, err := os.ReadFile(path + ".before")
			if err != nil || string(kept) != test.before {
				t.Errorf("kept %q, %v", kept, err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("its mode is %v, %v", info.Mode(), err)
			}
			again, err := Sources{File: path}.Migrate()
			if err != nil || again[0].Changed() {
				t.Errorf("a second migration changes it again: %v, %v", again, err)
			}
		})
	}
}

// What only its author can mend stays as it is, and is told.
func TestMigrationLeavesInvalidValues(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.toml")
	for text, key := range map[string]string{
		"version = 1\n[policy]\nmode = \"loud\"\n": "policy.mode",
		"version = 1\nlog_level = \n":              "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := Sources{File: path}.Migrate()
		if err != nil || all[0].Changed() || len(all[0].Left) != 1 || all[0].Left[0].Key != key {
			t.Errorf("%q: %+v, %v", text, all, err)
		}
	}
}

func TestDropInsAreMigratedToo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, dropIn := filepath.Join(dir, "config.toml"), filepath.Join(dir, "conf.d", "10.toml")
	if err := os.Mkdir(filepath.Dir(dropIn), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{path: "version = 1\n", dropIn: "future = 1\n[policy]\nmode = \"audit\"\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := Sources{File: path}.Migrate()
	want := notKnown + "\n# future = 1\n[policy]\nmode = \"audit\"\n"
	if err != nil || len(all) != 2 || all[0].Changed() || all[1].Path != dropIn || all[1].After != want {
		t.Errorf("%+v, %v", all, err)
	}
}
