package backfill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

func of(name string) digest.Digest { return digest.FromString(name) }

// TestNewImagesGoBeforeFailedOnes, so that a registry that is down delays none.
func TestNewImagesGoBeforeFailedOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{down: true, known: map[string]string{}}
		v := New(Options{Store: w, Decider: w, Log: slog.New(slog.DiscardHandler)})
		w.image("registry.example/a:1", "a", "")
		w.image("registry.example/b:1", "b", "")
		v.lookUpAll(t.Context())
		time.Sleep(2 * minBackoff)
		w.image("registry.example/c:1", "c", "")
		w.asked = nil
		v.lookUpAll(t.Context())
		if len(w.asked) != 3 || !strings.HasPrefix(w.asked[0], "registry.example/c@") {
			t.Errorf("asked %q", w.asked)
		}
	})
}

// world is a runtime with images, and their registry. Manifests
// and configs have the digests of their names.
type world struct {
	mu       sync.Mutex
	records  []images.Record
	here     map[digest.Digest]digest.Digest // manifest -> config, of what is on the node
	index    map[string][]string             // what a digest reference's candidates are
	down     bool
	changed  func()
	asked    []string
	users    []string
	known    map[string]string // image id -> manifest
	of       map[string]string // image id -> reference, where set
	followed int
}

func (w *world) Records(context.Context) ([]images.Record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.records), nil
}

func (w *world) ConfigOf(_ context.Context, manifest digest.Digest) (digest.Digest, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if config, ok := w.here[manifest]; ok {
		return config, nil
	}
	return "", status.Error(codes.NotFound, "not here")
}

func (w *world) Follow(ctx context.Context, changed func()) error {
	w.mu.Lock()
	w.followed++
	first := w.followed == 1
	w.changed = changed
	w.mu.Unlock()
	if first {
		return errors.New("the runtime went away")
	}
	changed()
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) Snapshot() decision.Snapshot { return decision.Snapshot{} }

func (w *world) Decide(_ context.Context, req decision.Request) (*decision.Decision, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, req.Reference)
	if req.Auth != nil {
		w.users = append(w.users, req.Auth.Username)
	}
	if w.down {
		return nil, errors.New("the registry is down")
	}
	d := &decision.Decision{Reference: req.Reference, Choice: decision.None, Default: decision.None}
	for _, name := range w.index[req.Reference] {
		d.Candidates = append(d.Candidates, decision.Candidate{Digest: of(name), Platform: name})
	}
	if strings.HasSuffix(req.Reference, of("index").String()) {
		d.Index = of("index")
	}
	return d, nil
}

func (w *world) Remember(id string, d *decision.Decision, i int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[id] = d.Candidates[i].Platform
	if w.of != nil {
		w.of[id] = d.Reference
	}
	return nil
}

func (w *world) Knows(id, _ string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known[id] != ""
}

func (w *world) image(name string, target string, index string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := images.Record{Name: name, Target: of(target)}
	if index != "" {
		r.Index = of(index)
	}
	w.records = append(w.records, r)
}

func (w *world) state() (known string, asked int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var words []string
	for id, manifest := range w.known {
		words = append(words, fmt.Sprintf("%s=%s", id[7:11], manifest))
	}
	slices.Sort(words)
	return strings.Join(words, " "), len(w.asked)
}

func TestImagesAreLookedUpWhenTheyAppearAndRetriedWhenTheRegistryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			here: map[digest.Digest]digest.Digest{
				of("m1"): of("c1"), of("m2"): of("c2"), of("m3"): of("c3"), of("m4"): of("c4"), of("chart"): "",
			},
			index: map[string][]string{
				"registry.example/one@" + of("m1").String():     {"m1"},
				"registry.example/two@" + of("index2").String(): {"m0", "m2"},
				"registry.example/ours@" + of("index3").String(): {
					"m0", "m3",
				},
			},
			known: map[string]string{of("c4").String(): "proxy"},
		}
		w.image("registry.example/one:1", "m1", "")
		w.image("registry.example/two:1", "index2", "")
		w.image("registry.example/ours:1", "m3", "index3")
		w.image("registry.example/known:1", "m4", "")
		w.image("registry.example/chart:1", "chart", "")
		w.image(of("c1").String(), "m1", "")
		w.image("not a reference", "m1", "")
		v := New(Options{Store: w, Decider: w, Log: slog.New(slog.DiscardHandler), Auth: func(reference.Named) *registry.Auth {
			return &registry.Auth{Username: "operator"}
		}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- v.Run(ctx) }()
		sleep := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		want := func(when, images string, asked int) {
			t.Helper()
			slices.Sort(strings.Fields(images))
			if known, n := w.state(); known != images || n != asked {
				t.Errorf("%s: known %s, want %s; asked %d times, want %d: %q", when, known, images, n, asked, w.asked)
			}
		}
		words := func(pairs ...string) string {
			var list []string
			for i := 0; i < len(pairs); i += 2 {
				list = append(list, of(pairs[i]).String()[7:11]+"="+pairs[i+1])
			}
			slices.Sort(list)
			return strings.Join(list, " ")
		}
		sleep(10 * time.Second) // the first connection is lost
		all := words("c1", "m1", "c2", "m2", "c3", "m3", "c4", "proxy")
		want("at the start", all, 4) // and the chart, which has no requirements

		w.mu.Lock()
		w.down = true
		w.here[of("m5")] = of("c5")
		w.index["registry.example/new@"+of("m5").String()] = []string{"m5"}
		w.mu.Unlock()
		w.image("registry.example/new:1", "m5", "")
		w.changed()
		sleep(2 * debounce)
		want("a new image, the registry down", all, 5)
		sleep(minBackoff / 2)
		want("too early", all, 5)
		w.mu.Lock()
		w.down = false
		w.mu.Unlock()
		sleep(2 * minBackoff)
		all = words("c1", "m1", "c2", "m2", "c3", "m3", "c4", "proxy", "c5", "m5")
		want("the registry is back", all, 6)

		w.mu.Lock()
		delete(w.known, of("c1").String())
		w.mu.Unlock()
		sleep(2 * maxBackoff)
		if !w.Knows(of("c1").String(), "") {
			t.Error("a deleted record is not looked up again")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(w.users) != len(w.asked) {
			t.Errorf("%d requests, %d with credentials", len(w.asked), len(w.users))
		}
	})
}
