package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func needStack(t *testing.T) {
	t.Helper()
	if err := Usable(); err != nil {
		t.Skipf("the stack %v", err)
	}
}

// work is a work folder whose containerd had one pod, and the id of that.
func work(t *testing.T) (dir *workDir, id string) {
	t.Helper()
	dir, err := newWorkDir()
	if err != nil {
		t.Fatal(err)
	}
	id = strings.Repeat("0f", 28) + filepath.Base(dir.path)[len(workPrefix):]
	id = (id + strings.Repeat("0", 64))[:64]
	write(t, filepath.Join(dir.path, "containerd.log"), "msg=\"RunPodSandbox returns sandbox id \\\""+id+"\\\"\"")
	return dir, id
}

func write(t *testing.T, path, text string) {
	t.Helper()
	makeDir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(path) })
}

// makeDir makes a folder; what it made of it goes with the test, as far as it is empty.
func makeDir(t *testing.T, path string) {
	t.Helper()
	var made []string
	for ; ; path = filepath.Dir(path) {
		if _, err := os.Lstat(path); err == nil {
			break
		}
		made = append(made, path)
	}
	for _, dir := range slices.Backward(made) {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, dir := range made {
			_ = os.Remove(dir)
		}
	})
}

// start starts a sleeping process under another name.
func start(t *testing.T, name string) *os.Process {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.Args[0] = name
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, as meant
	})
	return cmd.Process
}

func hierarchy(t *testing.T) string {
	t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/*/cgroup.procs"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return filepath.Dir(found[len(found)-1])
		}
	}
	t.Skip("no cgroups here")
	return ""
}

func TestLeftoversAreListed(t *testing.T) {
	needStack(t)
	tests := map[string]struct {
		leave func(t *testing.T, dir *workDir, id string)
		want  string // with DIR for the folder, BASE for its name, ID for the pod
	}{
		"a folder":  {func(*testing.T, *workDir, string) {}, "folder DIR"},
		"a process": {func(t *testing.T, dir *workDir, _ string) { start(t, dir.path+"/runc") }, "(DIR/runc 600)"},
		"a mount": {func(t *testing.T, dir *workDir, _ string) {
			makeDir(t, dir.path+"/m")
			if err := unix.Mount("tmpfs", dir.path+"/m", "tmpfs", 0, "size=4k"); err != nil {
				t.Fatal(err)
			}
		}, "mount DIR/m"},
		"a cgroup": {func(t *testing.T, dir *workDir, _ string) {
			makeDir(t, filepath.Join(hierarchy(t), filepath.Base(dir.path)))
		}, "/BASE"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir, id := work(t)
			test.leave(t, dir, id)
			want := strings.NewReplacer("DIR", dir.path, "BASE", filepath.Base(dir.path), "ID", id).Replace(test.want)
			if left := Leftovers(dir.path); !strings.Contains(strings.Join(left, "\n"), want) {
				t.Errorf("leftovers %q, want %q", left, want)
			}
			if left := Abandoned(); !strings.Contains(strings.Join(left, "\n"), want) {
				t.Errorf("abandoned %q, want %q", left, want)
			}
			if err := dir.remove(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatCannotBeClearedAwayIsAnError(t *testing.T) {
	needStack(t)
	tests := map[string]struct {
		leave func(t *testing.T, dir *workDir, id string)
		want  string
	}{
		"a process of another name in the cgroup": {func(t *testing.T, dir *workDir, _ string) {
			group := filepath.Join(hierarchy(t), filepath.Base(dir.path))
			makeDir(t, group)
			write(t, filepath.Join(group, "cgroup.procs"), strconv.Itoa(start(t, "stray").Pid))
		}, "remove cgroup HIERARCHY/BASE: device or resource busy"},
		"a folder named after a pod": {func(t *testing.T, _ *workDir, id string) {
			makeDir(t, "/run/containerd/runc/k8s.io/"+id)
		}, "outside /run/containerd/runc/k8s.io/ID"},
		"a cgroup named after a pod": {func(t *testing.T, _ *workDir, id string) {
			makeDir(t, filepath.Join(hierarchy(t), "k8s.io", id))
		}, "outside HIERARCHY/k8s.io/ID"},
		"a shim's socket": {func(t *testing.T, dir *workDir, id string) {
			write(t, shimSockets(dir.path, []string{id})[0], "")
		}, "outside /run/containerd/s/"},
		"a link to a log": {func(t *testing.T, dir *workDir, _ string) {
			makeDir(t, "/run/runc")
			link := "/run/runc/" + filepath.Base(t.TempDir())
			if err := os.Symlink(dir.path+"/pods/0.log", link); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Remove(link) })
		}, "outside /run/runc/"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir, id := work(t)
			test.leave(t, dir, id)
			want := strings.NewReplacer("HIERARCHY", hierarchy(t), "BASE", filepath.Base(dir.path), "ID", id).Replace(test.want)
			if err := dir.remove(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
			_ = os.RemoveAll(dir.path)
		})
	}
}

// Another runtime makes and removes its own all the time, in the same places.
func TestOthersOnTheMachineAreIgnored(t *testing.T) {
	needStack(t)
	foreign := strings.Repeat("ab", 32)
	parts := []string{
		"/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + foreign, "/run/containerd/runc/k8s.io/" + foreign, "/run/runc/" + foreign,
		"/run/containerd/s/" + foreign, hierarchy(t) + "/k8s.io/" + foreign, hierarchy(t) + "/kubepods-" + foreign[:8],
	}
	for _, part := range parts {
		makeDir(t, filepath.Dir(part))
	}
	mounted := t.TempDir()
	start(t, "/usr/bin/containerd-shim-runc-v2")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for done := false; !done; {
			for _, part := range parts {
				_ = os.Mkdir(part, 0o755)
			}
			_ = unix.Mount("tmpfs", mounted, "tmpfs", 0, "size=4k")
			select {
			case <-stop:
				done = true
			default:
			}
			_ = unix.Unmount(mounted, unix.MNT_DETACH)
			for _, part := range slices.Backward(parts) {
				_ = os.Remove(part)
			}
		}
	}()
	for range 100 {
		dir, _ := work(t)
		if err := dir.remove(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-stopped
}

func TestChildProcessesAreListed(t *testing.T) {
	needStack(t)
	child := start(t, "stray (child) of the test")
	if left := strings.Join(Children(), "\n"); !strings.Contains(left, strconv.Itoa(child.Pid)+" (sleep)") {
		t.Errorf("children %q, want process %d", left, child.Pid)
	}
}
