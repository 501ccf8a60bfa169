package integration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// another is a second process of a daemon, with a log of its own.
func another(t *testing.T, of *stack.Process, config string) *stack.Process {
	t.Helper()
	p := &stack.Process{Path: of.Path, Args: []string{"--config", config}, Log: filepath.Join(t.TempDir(), "another.log")}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(drainTime) })
	return p
}

// awaitLog waits until a log has a text, and returns how often.
func awaitLog(t *testing.T, path, text string) int {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		log, _ := os.ReadFile(path)
		if n := strings.Count(string(log), text); n > 0 {
			return n
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not say %q:\n%s", path, text, log)
		}
	}
}

// Another program on the address of health and metrics, a pipe in place of the decision log, a second
// proxy and a second plugin: a line each, and pulls and admission go on.
func TestPullsSurviveWhatOthersHaveTaken(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	w := watch(f)
	pulls := func() {
		t.Helper()
		for range 2 {
			fresh := f.offer(t, w.fresh())
			w.offers = append(w.offers, fresh)
			start := time.Now()
			w.wantVariant(t, fresh, best)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("a pull took %s", took)
			}
		}
	}
	if err := f.Proxy.Stop(drainTime); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("unix", f.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	fill(t, filepath.Join(f.StateDir, "decisions.jsonl"))
	if err := f.StartProxy(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitRuntime(t)
	pulls()
	for _, line := range []string{"cannot serve health and metrics, retrying", "cannot write the decision log"} {
		if n := awaitLog(t, f.Proxy.Log, line); n != 1 {
			t.Errorf("%q is logged %d times", line, n)
		}
	}

	second := another(t, f.Proxy, f.Config)
	<-second.Exited()
	if second.ExitCode() != 1 || awaitLog(t, second.Log, "another process is listening on "+f.Socket) != 1 {
		t.Errorf("the second proxy ended with %d: %s", second.ExitCode(), second.Tail(5))
	}
	pulls()

	f.startPlugin(t)
	plugin := another(t, f.Plugin, f.Config)
	awaitLog(t, plugin.Log, "another instance of this daemon runs")
	awaitLog(t, plugin.Log, "connected to the runtime")
	unfit := f.offerUnfit(t, "unfit")
	f.pullExempt(t, unfit)
	w.wantNotCreated(t, unfit)
	w.wantRun(t, w.offers[0], w.pulled[w.offers[0].ref])
	w.wantSound(t)
}

// fill puts a pipe that takes no more in place of a file.
func fill(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 64<<10))
	}
}

// A proxy whose runtime is another proxy works, unless that one's runtime is the first: then calls
// end with an error that names both sockets, and are not sent round for ever.
func TestProxiesInACircleRefuseCallsAndInARowServe(t *testing.T) {
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	socket := filepath.Join(containerd.Dir, "second.sock")
	f := startFitWith(t, containerd, registry, flagsV3, stack.Settings{Runtime: socket})
	config := func(runtime string) string {
		path := filepath.Join(t.TempDir(), "second.toml")
		text := fmt.Sprintf("version = 1\nlog_format = \"text\"\nstate_dir = %q\n[runtime]\nendpoint = \"unix://%s\"\n[proxy]\nlisten = \"unix://%s\"\nhttp_listen = \"\"\n[facts]\nroot = %q\n",
			t.TempDir(), runtime, socket, host(t, flagsV3))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	second := another(t, f.Proxy, config(f.Socket))
	awaitLog(t, second.Log, "msg=listening")
	repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
	ctx, cancel := timeout(t, drainTime)
	defer cancel()
	// Until the first has connected again, its runtime is not there.
	var err error
	for ctx.Err() == nil {
		if _, err = f.cri.Image.ListImages(ctx, &runtimeapi.ListImagesRequest{}); status.Code(err) != codes.Unavailable {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), f.Socket) || !strings.Contains(err.Error(), socket) {
		t.Errorf("a call in a circle: %v", err)
	}
	if _, err := f.cri.Pull(ctx, repo.Ref("1"), stack.PullOptions{}); err == nil || ctx.Err() != nil {
		t.Errorf("a pull in a circle: %v", err)
	}
	awaitLog(t, f.Proxy.Log, "the runtime's socket leads back to this proxy")

	if err := second.Stop(drainTime); err != nil {
		t.Fatal(err)
	}
	second = another(t, f.Proxy, config(containerd.Socket))
	awaitLog(t, second.Log, "msg=listening")
	w := watch(f)
	w.awaitRuntime(t)
	id := f.pull(t, repo.Ref("1"))
	wantID(t, f.cri, id, repo.Ref("1"))
	f.wantRuns(t, repo.Ref("1"), id, "amd64/v3")
}
