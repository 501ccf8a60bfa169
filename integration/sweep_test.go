package integration

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// abandonEnv makes TestKilledRunIsSweptUp the victim of itself.
const abandonEnv = "IMAGEFIT_TEST_ABANDON"

// A test run that is killed cannot clean up; the next one does it.
func TestKilledRunIsSweptUp(t *testing.T) {
	requireStack(t)
	if os.Getenv(abandonEnv) != "" {
		abandon(t)
		return
	}
	victim := victimOf(t)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	for lines := bufio.NewScanner(out); dir == "" && lines.Scan(); {
		_, dir, _ = strings.Cut(lines.Text(), "abandoned in ")
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // killed, as meant
	if dir == "" {
		t.Fatal("the victim started no containerd")
	}
	wantLeftovers(t, dir, "containerd --config", "containerd-shim-runc-v2", "/workload hold", "mount ", "cgroup ")

	startContainerd(t, stack.Options{})
	if left := stack.Leftovers(dir); len(left) > 0 {
		t.Errorf("not swept up: %v", left)
	}
}

// victimOf is this test once more, in a process of its own that is to come to harm.
func victimOf(t *testing.T) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(self, "-test.run", "^"+t.Name()+"$", "-test.v")
	victim.Env = append(os.Environ(), abandonEnv+"=1")
	return victim
}

// A test that forgets to stop what it started fails the run, by name.
func TestRunThatLeavesSomethingFails(t *testing.T) {
	requireStack(t)
	if os.Getenv(abandonEnv) != "" {
		containerd, err := stack.StartContainerd(t.Context(), stack.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString("abandoned in " + containerd.Dir + "\n")
		return
	}
	out, err := victimOf(t).CombinedOutput()
	_, rest, _ := strings.Cut(string(out), "abandoned in ")
	dir, _, _ := strings.Cut(rest, "\n")
	if err == nil {
		t.Errorf("the run passed")
	}
	for _, want := range []string{"left behind by a test: folder " + dir, "/containerd --config " + dir} {
		if !strings.Contains(rest, want) {
			t.Errorf("the run does not name %q:\n%s", want, out)
		}
	}
	startContainerd(t, stack.Options{}) // sweeps up
	if left := stack.Leftovers(dir); len(left) > 0 {
		t.Errorf("not swept up: %v", left)
	}
}

// abandon starts a pod and waits to be killed.
func abandon(t *testing.T) {
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	ref, _, _, _ := pushPair(t, registry)
	if _, err := containerd.CRI.Pull(t.Context(), ref, stack.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, containerd.CRI, ref, stack.PodOptions{}, "variant=plain uid=1000")
	// Straight to stdout: t.Log would keep it until the end.
	_, _ = os.Stdout.WriteString("abandoned in " + containerd.Dir + "\n")
	<-t.Context().Done()
}
