package catalog

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/registry"
)

// isArtifactTag tells tags that are not names of images: those of the referrers tag
// schema, and cosign's.
func isArtifactTag(tag string) bool {
	matched, err := regexp.MatchString(`^sha(256|512)-[0-9a-f]{64,128}(\.(sig|att|sbom)|\.[a-z0-9]+)?$`, tag)
	return err == nil && matched
}

// name looks at one name. Only an error of the catalog itself, or the end of the sync, is
// an error.
func (r *run) name(ctx context.Context, n name) error {
	change, err := r.look(ctx, n)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if bad, ok := errors.AsType[databaseError](err); ok {
		return bad.error
	}
	r.mu.Lock()
	r.summary.Names++
	r.summary.add(change)
	switch {
	case err == nil:
		r.failures = 0
	case !registry.IsContentError(err) && !errors.Is(err, registry.ErrUnauthorized):
		r.failures++
		r.notRead++
		r.summary.Problems++
		if r.failed == nil {
			r.failed = err
		}
	default:
		r.summary.Problems++
	}
	failures, progress := r.failures, Progress{r.source, n.repository.Name() + ":" + n.tag, r.summary}
	r.mu.Unlock()
	if r.Progress != nil {
		r.Progress(progress)
	}
	if err != nil {
		r.Log.Debug("cannot read an image", "image", progress.Name, "error", err)
		if err := r.Catalog.fail(ctx, r.source.ID, n.repository.Name(), n.tag, err.Error()); err != nil {
			return err
		}
	}
	if failures >= maxFailures {
		return fmt.Errorf("%d requests in a row failed, the others are not made: %w", failures, err)
	}
	return nil
}

// databaseError is an error of the catalog, and not of what is read into it.
type databaseError struct{ error }

func ofDatabase(err error) error {
	if err == nil {
		return nil
	}
	return databaseError{err}
}

// look reads a name, as little of it as possible: where nothing moved it is one HEAD.
func (r *run) look(ctx context.Context, n name) (change Summary, err error) {
	repository := n.repository.Name()
	since := r.Catalog.now().Add(-r.TTL)
	old, found, err := r.Catalog.knownTag(ctx, repository, n.tag, since)
	if err != nil {
		return change, ofDatabase(err)
	}
	if found && old.manifest != 0 && !old.checked.Before(r.began) && !old.stale {
		change.Skipped++
		return change, ofDatabase(r.Catalog.touch(ctx, r.source.ID, old.tag))
	}
	repo, err := r.repos.get(ctx, r, n.repository)
	if err != nil {
		return change, err
	}
	top, err := repo.Resolve(ctx, n.tag)
	if errors.Is(err, registry.ErrNotFound) {
		change.Gone++
		return change, ofDatabase(r.Catalog.lose(ctx, repository, n.tag))
	}
	if err != nil {
		return change, err
	}
	recorded := recordedOf{r.Catalog, repository, since, r.keysOf(repository)}
	same := found && old.digest == top.Digest.String()
	if same && old.stale {
		if old.stale, err = r.refresh(ctx, recorded, repo, old); err != nil {
			return change, err
		}
	}
	if same && !old.stale {
		change.Same++
		if err := r.bases(ctx, n); err != nil {
			return change, err
		}
		return change, ofDatabase(r.Catalog.touch(ctx, r.source.ID, old.tag))
	}
	switch {
	case same:
		change.Same++
	case found && old.manifest != 0:
		change.Moved++
	default:
		change.New++
	}
	if err := r.read(ctx, recorded, repo, n, top); err != nil {
		return Summary{}, err
	}
	return change, r.bases(ctx, n)
}

// refresh reports whether the image must be read again.
func (r *run) refresh(ctx context.Context, recorded recordedOf, repo limited, old known) (again bool, err error) {
	same, err := recorded.refresh(ctx, repo, old)
	return !same, err
}

func (r *run) read(ctx context.Context, recorded recordedOf, repo limited, n name, top ocispec.Descriptor) error {
	o := &Observed{Repository: n.repository.Name(), Name: n.tag}
	if err := readImage(ctx, repo, recorded, recorded.keys, o, top); err != nil {
		return err
	}
	return ofDatabase(r.Catalog.record(ctx, r.Indexer, r.source.ID, o))
}

// repositories keeps what is open of a registry. One is opened again now and then, so
// that a token that expires is replaced.
type repositories struct {
	mu   sync.Mutex
	open map[string]opened
}

type opened struct {
	limited
	at time.Time
}

const (
	openFor = time.Minute
	maxOpen = 256
)

func (rs *repositories) get(ctx context.Context, r *run, named reference.Named) (limited, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	now := time.Now()
	if o, ok := rs.open[named.Name()]; ok && now.Sub(o.at) < openFor {
		return o.limited, nil
	}
	auth, err := r.Auth(ctx, named)
	if err != nil {
		return limited{}, err
	}
	repo, err := r.Registry.Repository(named, auth)
	if err != nil {
		return limited{}, err
	}
	if rs.open == nil || len(rs.open) >= maxOpen {
		rs.open = map[string]opened{}
	}
	o := opened{limited{repo, r.Syncer, reference.Domain(named)}, now}
	rs.open[named.Name()] = o
	return o.limited, nil
}

// limited is a repository whose requests keep to the rate of its registry.
type limited struct {
	repo   *registry.Repository
	syncer *Syncer
	domain string
}

func (l limited) wait(ctx context.Context) error {
	return l.syncer.limits.wait(ctx, l.domain, l.syncer.Rate)
}

// Resolve asks what a name is.
func (l limited) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	if err := l.wait(ctx); err != nil {
		return ocispec.Descriptor{}, err
	}
	return l.repo.Resolve(ctx, ref)
}

// List implements referrers.Repository.
func (l limited) List(ctx context.Context, subject ocispec.Descriptor) (registry.Listing, error) {
	if err := l.wait(ctx); err != nil {
		return registry.Listing{}, err
	}
	return l.repo.List(ctx, subject)
}

// Manifest implements referrers.Repository.
func (l limited) Manifest(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	return l.repo.Manifest(ctx, d)
}

// Blob implements referrers.Repository.
func (l limited) Blob(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	return l.repo.Blob(ctx, d)
}

// limits spread the requests to each registry over time.
type limits struct {
	mu   sync.Mutex
	next map[string]time.Time
}

func (l *limits) wait(ctx context.Context, domain string, rate float64) error {
	if rate <= 0 {
		return ctx.Err()
	}
	l.mu.Lock()
	if l.next == nil {
		l.next = map[string]time.Time{}
	}
	now := time.Now()
	at := l.next[domain]
	if at.Before(now) {
		at = now
	}
	l.next[domain] = at.Add(time.Duration(float64(time.Second) / rate))
	l.mu.Unlock()
	if !at.After(now) {
		return ctx.Err()
	}
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
