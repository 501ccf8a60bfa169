package integration

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/integration/stack"
)

// points counts what is seen of a pull from outside: requests to the registry and
// calls of the runtime. At one of them a daemon may be killed.
type points struct {
	mu   sync.Mutex
	seen int
	at   int
	kill func()
}

// arm resets the count. At the given point the kill is done, before anybody
// hears of the request or call.
func (p *points) arm(at int, kill func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen, p.at, p.kill = 0, at, kill
}

// pass is called at every point.
func (p *points) pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen++; p.seen == p.at && p.kill != nil {
		p.kill()
	}
}

func (p *points) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// The proxy is killed at random points of a pull, a hundred times. What it leaves is
// sound, and the next pull gets the variant that fits.
func TestProxyKilledAtRandomLeavesSoundState(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("FAULTS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("FAULTS_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	containerd := startContainerd(t, stack.Options{})
	relay := startRecorder(t, containerd, "relay", containerd.Socket)
	f := startFitWith(t, containerd, startRegistry(t), flagsV3, stack.Settings{Runtime: relay.socket})
	o := f.offer(t, "app")
	w := watch(f, o)
	var p points
	relay.onCall(func(string) { p.pass() })
	f.registry.Intercept(func(http.ResponseWriter, *http.Request) bool { p.pass(); return false })

	p.arm(0, nil)
	w.wantVariant(t, o, best)
	whole := slices.Repeat([]int{p.count()}, situations) // points of a pull that is not cut off
	interrupted := 0
	for round := range rounds {
		found := random.IntN(situations)
		w.startOver(t, o, found)
		at := 1 + random.IntN(whole[found])
		process := f.Proxy
		p.arm(at, func() {
			_ = process.Signal(syscall.SIGKILL) // it may be the second time
			<-process.Exited()
		})
		id, err := f.cri.Pull(context.WithoutCancel(t.Context()), o.ref, stack.PullOptions{})
		seen := p.count()
		p.arm(0, nil)
		switch {
		case err == nil:
			whole[found] = min(whole[found], seen)
			wantID(t, containerd.CRI, id, o.ref)
		case status.Code(err) == codes.Unavailable:
			interrupted++
		default:
			t.Errorf("the pull that was cut off: %v, want Unavailable", err)
		}
		w.wantRecords(t)
		if !f.Proxy.Running() {
			if err := f.StartProxy(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.awaitRuntime(t)
		}
		w.wantVariant(t, o, best)
		if t.Failed() {
			t.Fatalf("in round %d, killed at point %d of %d, with situation %d", round, at, whole[found], found)
		}
	}
	t.Logf("%d points, %d of %d pulls cut off", whole, interrupted, rounds)
	if interrupted < rounds/2 {
		t.Errorf("only %d of %d pulls were cut off", interrupted, rounds)
	}
	w.wantRun(t, o, w.pulled[o.ref])
	w.wantSound(t)
}

// situations is how many startOver knows.
const situations = 4

// startOver brings about what a pull may find: nothing, what an earlier pull left, or
// what the runtime took by itself, with or without what the proxy knew.
func (w *witness) startOver(t *testing.T, o offer, situation int) {
	t.Helper()
	if situation != 0 {
		if err := w.containerd.CRI.Remove(t.Context(), o.ref); err != nil {
			t.Fatal(err)
		}
		delete(w.pulled, o.ref)
	}
	if situation == 2 {
		if err := w.removeState(); err != nil {
			t.Fatal(err)
		}
	}
	if situation == 3 {
		if _, err := w.containerd.CRI.Pull(t.Context(), o.ref, stack.PullOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
