package backfill

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
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
	// settle is how long nothing may change before the records are looked at:
	// a pull makes several at once.
	settle = time.Second
	// minPause and maxPause bound when an image is tried again whose registry did
	// not answer, or not to us.
	minPause = time.Minute
	maxPause = time.Hour
	// maxTried bounds what is remembered of images that were looked at.
	maxTried = 10_000
)

// Store lists the images of the node.
type Store interface {
	Records(ctx context.Context) ([]images.Record, error)
	ConfigOf(ctx context.Context, manifest digest.Digest) (digest.Digest, error)
	Follow(ctx context.Context, changed func()) error
}

// Decider takes the road from a reference to what is known of its candidates.
type Decider interface {
	Snapshot() decision.Snapshot
	Decide(ctx context.Context, req decision.Request) (*decision.Decision, error)
	Remember(imageID string, d *decision.Decision, candidate int) error
	Knows(imageID, repository string) bool
}

// Options are what an Inventory is made of.
type Options struct {
	Store   Store
	Decider Decider
	// Auth returns the credentials for a repository, nil for none.
	Auth func(repository reference.Named) *registry.Auth
	Log  *slog.Logger
}

// Inventory looks up images, one after the other.
type Inventory struct {
	Options
	tried map[string]attempt // by name and target
}

// attempt is what came of looking at an image.
type attempt struct {
	after time.Time     // when to look again
	pause time.Duration // until the time after that
}

// New returns an inventory.
func New(o Options) *Inventory { return &Inventory{Options: o, tried: map[string]attempt{}} }

// Run looks at all images whenever one was added or moved, until ctx ends.
func (v *Inventory) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		v.follow(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-changed:
			pause(ctx, settle)
			v.round(ctx)
		case <-time.After(minPause):
			v.round(ctx)
		}
	}
	<-done
	return nil
}

// follow comes back to a runtime that went away.
func (v *Inventory) follow(ctx context.Context, changed func()) {
	for ctx.Err() == nil {
		err := v.Store.Follow(ctx, changed)
		if ctx.Err() != nil {
			return
		}
		v.Log.Debug("image records are not followed, trying again", "error", err)
		if status.Code(errors.Unwrap(err)) == codes.Unimplemented {
			return // a runtime without events: looked at now and then
		}
		pause(ctx, 5*time.Second)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// round looks at every image that is due.
func (v *Inventory) round(ctx context.Context) {
	records, err := v.Store.Records(ctx)
	if err != nil {
		v.Log.Debug("images are not looked at", "error", err)
		return
	}
	if len(v.tried) > maxTried {
		clear(v.tried)
	}
	// What is new must not wait for the registries of what failed before.
	slices.SortStableFunc(records, func(a, b images.Record) int {
		return v.tried[key(a)].after.Compare(v.tried[key(b)].after)
	})
	for _, r := range records {
		if ctx.Err() != nil {
			return
		}
		v.look(ctx, r)
	}
}

func key(r images.Record) string { return r.Name + " " + r.Target.String() }

// look finds out about one image, unless that was done or is not due.
func (v *Inventory) look(ctx context.Context, r images.Record) {
	if strings.HasPrefix(r.Name, "sha256:") {
		return // CRI's own record of an image id
	}
	last := v.tried[key(r)]
	if time.Now().Before(last.after) {
		return
	}
	err := v.find(ctx, r)
	if err == nil { // what is kept may be lost, so look again some time
		v.tried[key(r)] = attempt{after: time.Now().Add(maxPause)}
		return
	}
	next := max(minPause, min(last.pause, maxPause))
	v.tried[key(r)] = attempt{after: time.Now().Add(next), pause: 2 * next}
	v.Log.Debug("what an image needs is not known yet", "reference", r.Name, "error", err, "next", next)
}

// find keeps what is known of the image under its id.
func (v *Inventory) find(ctx context.Context, r images.Record) error {
	named, err := reference.ParseDockerRef(r.Name)
	if err != nil {
		return nil //nolint:nilerr // not an image of a registry
	}
	if id, err := v.Store.ConfigOf(ctx, r.Target); err == nil && id != "" && v.Decider.Knows(id.String(), named.Name()) {
		return nil
	}
	target := r.Target
	if r.Index != "" {
		target = r.Index
	}
	at, err := reference.WithDigest(reference.TrimNamed(named), target)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	req := decision.Request{Reference: at.String(), Snapshot: v.Decider.Snapshot()}
	if v.Auth != nil {
		req.Auth = v.Auth(named)
	}
	d, err := v.Decider.Decide(ctx, req)
	if err != nil {
		return err
	}
	return v.keep(ctx, r, d)
}

// keep remembers the candidates that are on the node.
func (v *Inventory) keep(ctx context.Context, r images.Record, d *decision.Decision) error {
	for _, i := range d.ByPreference() {
		id, err := v.Store.ConfigOf(ctx, d.Candidates[i].Digest)
		if status.Code(err) == codes.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		if id == "" || v.Decider.Knows(id.String(), d.Repository) {
			continue
		}
		if err := v.Decider.Remember(id.String(), d, i); err != nil && !errors.Is(err, cache.ErrMiss) {
			return err
		}
		v.Log.Info("looked up an image that did not come through the proxy",
			"reference", r.Name, "image", id, "choice", d.Label(i), "outcome", d.Candidates[i].Outcome)
	}
	return nil
}
