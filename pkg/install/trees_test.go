package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefit/imagefit/internal/testkit/golden"
)

// unpack writes the files of a tree of testdata below a new folder.
func unpack(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "trees", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, section := range strings.Split("\n"+string(text), "\n-- ")[1:] {
		head, content, _ := strings.Cut(section, " --\n")
		path, target, isLink := strings.Cut(strings.TrimSuffix(head, " --"), " -> ")
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if isLink {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(strings.TrimSuffix(content, "\n")+"\n"), 0o640)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"/usr/local/bin", "/var/lib"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// picture is all that is below a folder: modes, contents and targets of links.
func picture(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(content)
		case info.Mode().Type() == fs.ModeSymlink:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " " + to
		}
		all[strings.TrimPrefix(path, root)] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// release is a folder with programs.
func release(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range programNames() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("\x00"+name+" "+version), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func trees(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/trees/*.txt")
	if err != nil || len(files) < 13 {
		t.Fatalf("%d trees, %v", len(files), err)
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".txt"))
	}
	return names
}

func TestEveryPlatformIsInstalledAndRestored(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, name := range trees(t) {
		root := unpack(t, name)
		before := picture(t, root)
		i := Installer{Root: root, Programs: release(t, "1"), Version: "v1", volatile: true}
		i.DryRun = true
		planned, err := i.Install(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		seen[planned.Platform] = true
		golden.Equal(t, filepath.Join("testdata", "trees", name+".golden"), strings.ReplaceAll(planned.Text(), root, "ROOT"))
		if diff := cmp.Diff(before, picture(t, root)); diff != "" {
			t.Errorf("%s: the dry run changed\n%s", name, diff)
		}
		i.DryRun = false
		done, err := i.Install(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(planned.Text(), done.Text()); diff != "" {
			t.Errorf("%s: the dry run was of something else\n%s", name, diff)
		}
		after := picture(t, root)
		again, err := i.Install(t.Context())
		if err != nil || len(again.Changes) > 0 {
			t.Errorf("%s: the second time: %v, %+v", name, err, again.Changes)
		}
		if diff := cmp.Diff(after, picture(t, root)); diff != "" {
			t.Errorf("%s: the second time changed\n%s", name, diff)
		}
		if _, err := i.Uninstall(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(before, picture(t, root)); diff != "" {
			t.Errorf("%s is not as before: -before +after\n%s", name, diff)
		}
	}
	for _, name := range Names() {
		if !seen[name] {
			t.Errorf("there is no tree of %s", name)
		}
	}
}

var errStopped = errors.New("stopped")

// stopAfter has the installer end after so many steps, as if it were killed.
func stopAfter(i Installer, steps int) Installer {
	i.after = func(string) error {
		if steps--; steps < 0 {
			return errStopped
		}
		return nil
	}
	return i
}

// Whatever step it is killed after, the next run finishes or reverts.
func TestInstallationThatIsKilledIsFinishedOrReverted(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"kubeadm", "microk8s", "k3s-stargz", "package"} {
		for steps := 0; ; steps++ {
			root := unpack(t, name)
			before := picture(t, root)
			i := Installer{Root: root, Programs: release(t, "1"), Version: "v1", volatile: true}
			stopped := stopAfter(i, steps)
			_, err := stopped.Install(t.Context())
			if err == nil {
				break // all steps were done
			}
			if !errors.Is(err, errStopped) {
				t.Fatal(err)
			}
			if steps%2 == 0 {
				if _, err := i.Install(t.Context()); err != nil {
					t.Fatalf("%s, finish after %d steps: %v", name, steps, err)
				}
				want := unpack(t, name)
				whole := i
				whole.Root = want
				if _, err := whole.Install(t.Context()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(picture(t, want), picture(t, root)); diff != "" {
					t.Errorf("%s, finished after %d steps: %s", name, steps, diff)
				}
			}
			if _, err := i.Uninstall(t.Context()); err != nil {
				t.Fatalf("%s, revert after %d steps: %v", name, steps, err)
			}
			if diff := cmp.Diff(before, picture(t, root)); diff != "" {
				t.Errorf("%s, reverted after %d steps: %s", name, steps, diff)
			}
		}
	}
}

// An upgrade and a removal that are killed, again and again, end as if they were not.
func TestKilledUpgradeAndRemovalAreFinished(t *testing.T) {
	t.Parallel()
	root := unpack(t, "kubeadm")
	before := picture(t, root)
	i := Installer{Root: root, Programs: release(t, "1"), Version: "v1", volatile: true}
	if _, err := i.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.Programs, i.Version = release(t, "2"), "v2"
	for steps := 0; ; steps++ {
		stopped := stopAfter(i, steps)
		if _, err := stopped.Install(t.Context()); err == nil {
			break
		} else if !errors.Is(err, errStopped) {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(root, "usr/local/bin/cri-proxy")); err != nil || string(got) != "\x00cri-proxy 2" {
		t.Errorf("after the upgrade: %q, %v", got, err)
	}
	for steps := 0; ; steps++ {
		stopped := stopAfter(i, steps)
		if _, err := stopped.Uninstall(t.Context()); err == nil {
			break
		} else if !errors.Is(err, errStopped) {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, picture(t, root)); diff != "" {
		t.Error(diff)
	}
}

// What someone else changed or wrote is shown and left, unless it is forced.
func TestFilesOfOthersAreNotTouched(t *testing.T) {
	t.Parallel()
	const dropIn = "etc/kubernetes/kubelet.conf.d/90-imagefit.conf"
	root := unpack(t, "package")
	before := picture(t, root)
	i := Installer{Root: root, Programs: release(t, "1"), Version: "v1", volatile: true}
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, dropIn), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(do func() error, want string) {
		t.Helper()
		now := picture(t, root)
		err := do()
		conflict, ok := errors.AsType[*ConflictError](err)
		if !ok || !slices.ContainsFunc(conflict.Diffs, func(d string) bool { return strings.Contains(d, want) }) {
			t.Errorf("got %v, want a conflict with %q", err, want)
		}
		if diff := cmp.Diff(now, picture(t, root)); diff != "" {
			t.Errorf("it was refused, and changed\n%s", diff)
		}
	}
	install := func() error { _, err := i.Install(t.Context()); return err }
	uninstall := func() error { _, err := i.Uninstall(t.Context()); return err }
	put("maxPods: 7\n")
	refused(install, "-maxPods: 7")
	if err := os.Remove(filepath.Join(root, dropIn)); err != nil {
		t.Fatal(err)
	}
	if err := install(); err != nil {
		t.Fatal(err)
	}
	put("maxPods: 8\n")
	refused(install, "+maxPods: 8")
	refused(uninstall, "+maxPods: 8")
	i.Force = true
	if err := uninstall(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, picture(t, root)); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyOneInstallerRuns(t *testing.T) {
	t.Parallel()
	root := unpack(t, "containerd")
	i := Installer{Root: root, Programs: release(t, "1")}
	inside := i
	i.after = func(string) error {
		_, err := inside.Uninstall(t.Context())
		return err
	}
	if _, err := i.Install(t.Context()); !errors.Is(err, ErrLocked) {
		t.Errorf("the second one: %v", err)
	}
}

func TestWhatCannotBeInstalledIsSaid(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tree, platform, path, text, want string
	}{
		"two distributions": {"k3s", "", "/etc/rancher/rke2/config.yaml", "x", "name one with --platform"},
		"no platform":       {"k3s", "k4s", "", "", "want one of"},
		"a wrapper":         {"crio", "", "/usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/bin/sh -c kubelet", "by hand"},
		"a later drop-in":   {"package", "", "/etc/kubernetes/kubelet.conf.d/95-x.conf", "imageServiceEndpoint: unix:///x", "95-x.conf comes after"},
		"a wrong file":      {"package", "", "/etc/imagefit/config.toml", "versoin = 1", "correct it first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := unpack(t, test.tree)
			if test.path != "" {
				path := filepath.Join(root, test.path)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(test.text+"\n"), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			before := picture(t, root)
			i := Installer{Root: root, Programs: release(t, "1"), Platform: test.platform}
			if _, err := i.Install(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if diff := cmp.Diff(before, picture(t, root)); diff != "" {
				t.Errorf("it changed\n%s", diff)
			}
		})
	}
}

func TestDiffsAreUnified(t *testing.T) {
	t.Parallel()
	before := "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n"
	for name, test := range map[string]struct{ from, to, before, after, want string }{
		"same": {"a", "a", before, before, ""},
		"new":  {"", "a", "", "x\ny\n", "--- /dev/null\n+++ a\n@@ -0,0 +1,2 @@\n+x\n+y\n"},
		"gone": {"a", "", "x\n", "", "--- a\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-x\n"},
		"two places": {"a", "a", before, strings.Replace(strings.Replace(before, "2\n", "two\n", 1), "12\n", "12\n13", 1),
			"--- a\n+++ a\n@@ -1,5 +1,5 @@\n 1\n-2\n+two\n 3\n 4\n 5\n@@ -10,3 +10,4 @@\n 10\n 11\n 12\n+13\n\\ No newline at end of file\n"},
	} {
		if got := Diff(test.from, test.to, test.before, test.after); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}
