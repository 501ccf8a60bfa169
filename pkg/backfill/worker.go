package backfill

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

const (
	// debounce is the pause after a change, because a pull makes several.
	debounce = time.Second
	// minBackoff and maxBackoff bound the pause before an image is tried again
	// whose registry failed.
	minBackoff = time.Minute
	maxBackoff = time.Hour
	// maxAttempts bounds the images whose attempts are remembered.
	maxAttempts = 10_000
)

// Store lists the images of the node.
type Store interface {
	Records(ctx context.Context) ([]images.Record, error)
	ConfigOf(ctx context.Context, manifest digest.Digest) (digest.Digest, error)
	Follow(ctx context.Context, changed func()) error
}

// Decider looks up the requirements of images, and keeps them for admission.
type Decider interface {
	Snapshot() decision.Snapshot
	Decide(ctx context.Context, req decision.Request) (*decision.Decision, error)
	Remember(imageID string, d *decision.Decision, candidate int) error
	Knows(imageID, repository string) bool
}

// Options are what a Worker is made of.
type Options struct {
	Store   Store
	Decider Decider
	// Auth returns the credentials for a repository, or nil.
	Auth func(repository reference.Named) *registry.Auth
	Log  *slog.Logger
}

// Worker looks up images, one after the other.
type Worker struct {
	Options
	attempts map[string]attempt // by name and target
}

// attempt is the last attempt to look up an image.
type attempt struct {
	next    time.Time     // when to try again
	backoff time.Duration // after that
}

// New returns a worker.
func New(o Options) *Worker { return &Worker{Options: o, attempts: map[string]attempt{}} }

// Run looks up images whenever one is added or moved, until ctx ends.
func (w *Worker) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() {
		w.follow(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	})
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-changed:
			sleep(ctx, debounce)
			w.lookUpAll(ctx)
		case <-time.After(minBackoff):
			w.lookUpAll(ctx)
		}
	}
	return nil
}

// follow reconnects to a runtime that restarted.
func (w *Worker) follow(ctx context.Context, changed func()) {
	for ctx.Err() == nil {
		err := w.Store.Follow(ctx, changed)
		if ctx.Err() != nil {
			return
		}
		w.Log.Debug("cannot follow image records, retrying", "error", err)
		sleep(ctx, 5*time.Second)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// lookUpAll looks up every image that is due.
func (w *Worker) lookUpAll(ctx context.Context) {
	records, err := w.Store.Records(ctx)
	if err != nil {
		w.Log.Debug("cannot list images", "error", err)
		return
	}
	if len(w.attempts) > maxAttempts {
		clear(w.attempts)
	}
	// New images first: they must not wait for registries that failed before.
	slices.SortStableFunc(records, func(a, b images.Record) int {
		return w.attempts[key(a)].next.Compare(w.attempts[key(b)].next)
	})
	for _, r := range records {
		if ctx.Err() != nil {
			return
		}
		w.lookUp(ctx, r)
	}
}

func key(r images.Record) string { return r.Name + " " + r.Target.String() }

// lookUp looks up one image, unless it is not due.
func (w *Worker) lookUp(ctx context.Context, r images.Record) {
	if strings.HasPrefix(r.Name, "sha256:") {
		return // CRI's own record of an image id
	}
	last := w.attempts[key(r)]
	if time.Now().Before(last.next) {
		return
	}
	err := w.resolve(ctx, r)
	if err == nil { // again later, as the cache may be deleted
		w.attempts[key(r)] = attempt{next: time.Now().Add(maxBackoff)}
		return
	}
	backoff := max(minBackoff, min(last.backoff, maxBackoff))
	w.attempts[key(r)] = attempt{next: time.Now().Add(backoff), backoff: 2 * backoff}
	w.Log.Debug("cannot look up the requirements of an image yet", "reference", r.Name, "error", err, "next", backoff)
}

// resolve looks up an image and keeps its requirements under its id.
func (w *Worker) resolve(ctx context.Context, r images.Record) error {
	named, err := reference.ParseDockerRef(r.Name)
	if err != nil {
		return nil //nolint:nilerr // not an image of a registry
	}
	if id, err := w.Store.ConfigOf(ctx, r.Target); err == nil && !mayBeIndex(r) && id != "" && w.Decider.Knows(id.String(), named.Name()) {
		return nil
	}
	target := r.Target
	if r.Index != "" {
		target = r.Index
	}
	at, err := reference.WithDigest(reference.TrimNamed(named), target)
	if err != nil {
		return nil //nolint:nilerr // not an image of a registry
	}
	req := decision.Request{Reference: at.String(), Snapshot: w.Decider.Snapshot()}
	if w.Auth != nil {
		req.Auth = w.Auth(named)
	}
	d, err := w.Decider.Decide(ctx, req)
	if err != nil {
		return err
	}
	return w.keep(ctx, r, d)
}

// keep keeps the requirements of those candidates that are on the node.
func (w *Worker) keep(ctx context.Context, r images.Record, d *decision.Decision) error {
	for _, i := range d.ByPreference() {
		id, err := w.Store.ConfigOf(ctx, d.Candidates[i].Digest)
		if status.Code(err) == codes.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		known := w.Decider.Knows(id.String(), d.Repository)
		// What an index says of its manifest adds to what is known of the manifest alone.
		if id == "" || known && (!mayBeIndex(r) || d.Index == "") {
			continue
		}
		if err := w.Decider.Remember(id.String(), d, i); err != nil && !errors.Is(err, cache.ErrMiss) {
			return err
		}
		if known {
			continue
		}
		w.Log.Info("looked up an image that did not come through cri-proxy",
			"reference", r.Name, "image", id, "choice", d.Label(i), "outcome", d.Candidates[i].Outcome)
	}
	return nil
}
