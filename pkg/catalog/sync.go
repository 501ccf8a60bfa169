package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/distribution/reference"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/trust"
)

const (
	// resumeFor is how long a sync that was interrupted is continued, and not begun again.
	resumeFor = 24 * time.Hour
	// maxFailures ends the sync of a source whose registry does not answer.
	maxFailures = 20
	// workers read names at the same time.
	workers = 8
)

// Syncer brings a catalog up to date with its sources.
type Syncer struct {
	Catalog  *Catalog
	Indexer  *Indexer
	Registry *registry.Registry
	// Auth returns the credentials for a repository, or nil.
	Auth func(ctx context.Context, named reference.Named) (*registry.Auth, error)
	// Lists returns the references of sources that this package cannot list.
	Lists map[SourceKind]func(ctx context.Context, s Source) ([]string, error)
	// InheritBase has what is attached to base images read, too.
	InheritBase bool
	// Trust has the keys of which a sync finds out what they signed; nil is none.
	Trust *trust.Rules
	// Rate bounds the requests to one registry in a second; 0 is no limit.
	Rate float64
	// TTL is how long a list of referrers is current.
	TTL time.Duration
	// Progress, if set, is called with every name that was looked at. It is called by many
	// goroutines.
	Progress func(Progress)
	Log      *slog.Logger

	limits limits
}

// Progress is how far the sync of a source is.
type Progress struct {
	Source Source
	Name   string
	Summary
}

// Summary is what a sync has done.
type Summary struct {
	Sources  int       `json:"sources"`
	Failed   []Failure `json:"failed,omitempty"` // sources
	Names    int       `json:"names"`            // that were looked at
	Same     int       `json:"same"`             // and are what they were
	New      int       `json:"new"`
	Moved    int       `json:"moved"`
	Gone     int       `json:"gone"`
	Problems int       `json:"problems"` // names that could not be read
	Skipped  int       `json:"skipped"`  // that an interrupted sync had looked at
}

// Failure is a source that could not be read as a whole.
type Failure struct {
	Source string `json:"source"`
	Error  string `json:"error"`
}

func (s *Summary) add(o Summary) {
	s.Names, s.Same, s.New, s.Moved = s.Names+o.Names, s.Same+o.Same, s.New+o.New, s.Moved+o.Moved
	s.Gone, s.Problems, s.Skipped = s.Gone+o.Gone, s.Problems+o.Problems, s.Skipped+o.Skipped
}

// Sync reads the sources, one after the other; one that fails does not keep the others
// from being read. Whatever interrupts it, what was read is kept, and the next Sync
// continues.
func (s *Syncer) Sync(ctx context.Context, sources []Source) (Summary, error) {
	var all Summary
	if err := s.Catalog.tx(ctx, func(t *tx) error { return errors.Join(t.reindex(s.Indexer), t.useKeys(s.Trust)) }); err != nil {
		return all, err
	}
	for _, source := range sources {
		all.Sources++
		one, err := s.source(ctx, source)
		all.add(one)
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
		if err != nil {
			problem := textutil.Line(err.Error(), maxRowProblem)
			all.Failed = append(all.Failed, Failure{source.String(), problem})
			if err := s.Catalog.ended(ctx, source.ID, problem); err != nil {
				return all, err
			}
			continue
		}
		if err := s.Catalog.ended(ctx, source.ID, ""); err != nil {
			return all, err
		}
	}
	s.Catalog.optimize(ctx)
	return all, nil
}

// began keeps that a sync of a source has begun, and returns since when what was looked
// at need not be looked at again.
func (c *Catalog) began(ctx context.Context, source int64) (began time.Time, err error) {
	err = c.tx(ctx, func(t *tx) error {
		var at int64
		if _, err := t.get("SELECT began FROM source WHERE id = ?", []any{source}, &at); err != nil {
			return err
		}
		if began = time.Unix(at, 0); at != 0 && time.Unix(t.now, 0).Sub(began) < resumeFor {
			return nil
		}
		began = time.Unix(t.now, 0)
		return t.exec("UPDATE source SET began = ? WHERE id = ?", t.now, source)
	})
	return began, err
}

func (c *Catalog) ended(ctx context.Context, source int64, problem string) error {
	return c.tx(ctx, func(t *tx) error {
		if problem != "" {
			return t.exec("UPDATE source SET error = ?, began = 0 WHERE id = ?", problem, source)
		}
		return t.exec("UPDATE source SET error = '', synced = ?, began = 0 WHERE id = ?", t.now, source)
	})
}

// run is the sync of one source.
type run struct {
	*Syncer
	source Source
	began  time.Time
	names  chan name

	mu       sync.Mutex
	summary  Summary
	failures int   // in a row
	notRead  int   // names, because the registry did not answer
	failed   error // why not all could be read
	repos    repositories
}

// name is a tag or digest of a repository.
type name struct {
	repository reference.Named
	tag        string
}

func (s *Syncer) source(ctx context.Context, source Source) (Summary, error) {
	began, err := s.Catalog.began(ctx, source.ID)
	if err != nil {
		return Summary{}, err
	}
	r := &run{Syncer: s, source: source, began: began, names: make(chan name, workers)}
	if source.Kind == FromDir {
		err := r.dir(ctx)
		if err == nil {
			err = r.failed
		}
		if err == nil {
			err = r.unlisted(ctx)
		}
		return r.summary, err
	}
	group, inGroup := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(r.names)
		return r.list(inGroup)
	})
	for range workers {
		group.Go(func() error {
			for n := range r.names {
				if err := r.name(inGroup, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	if err == nil {
		err = r.failed
	}
	if err == nil {
		err = r.unlisted(ctx)
	}
	return r.summary, err
}

// list lists the names of the source.
func (r *run) list(ctx context.Context) error {
	switch r.source.Kind {
	case FromRegistry:
		return r.registry(ctx)
	case FromList:
		all, err := readList(r.source.Name)
		if err != nil {
			return err
		}
		return r.references(ctx, all)
	default:
		list, ok := r.Lists[r.source.Kind]
		if !ok {
			return fmt.Errorf("sources of the kind %s cannot be read here", r.source.Kind)
		}
		all, err := list(ctx, r.source)
		if err != nil {
			return err
		}
		return r.references(ctx, all)
	}
}

// references sends references, and of a repository all of its tags.
func (r *run) references(ctx context.Context, all []string) error {
	for _, ref := range all {
		named, err := reference.ParseNormalizedNamed(ref)
		if err != nil {
			r.problem(fmt.Errorf("%s is not an image reference: %w", textutil.Quote(ref), err))
			continue
		}
		if reference.IsNameOnly(named) && r.source.Kind == FromList {
			if err := r.tags(ctx, named); err != nil {
				return err
			}
			continue
		}
		if err := r.send(ctx, name{reference.TrimNamed(named), registry.TagOrDigest(reference.TagNameOnly(named))}); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) send(ctx context.Context, n name) error {
	select {
	case r.names <- n:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// problem notes why not all of the source could be read. The first one is told.
func (r *run) problem(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
	}
}

// registry lists the repositories of a registry, or the one repository that the source
// names.
func (r *run) registry(ctx context.Context) error {
	named, prefix, err := registryOf(r.source.Name)
	if err != nil {
		return err
	}
	auth, err := r.Auth(ctx, named)
	if err != nil {
		return err
	}
	domain := reference.Domain(named)
	if err := r.limits.wait(ctx, domain, r.Rate); err != nil {
		return err
	}
	found := 0
	err = r.Registry.Repositories(ctx, domain, auth, func(names []string) error {
		for _, repository := range names {
			if prefix != "" && repository != prefix && !hasPrefix(repository, prefix) {
				continue
			}
			one, err := reference.ParseNormalizedNamed(domain + "/" + repository)
			if err != nil {
				continue // a registry may list anything
			}
			found++
			if err := r.tags(ctx, reference.TrimNamed(one)); err != nil {
				return err
			}
		}
		return r.limits.wait(ctx, domain, r.Rate)
	})
	switch unlisted := errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrUnauthorized) || isMissing(err); {
	case unlisted && prefix != "" && found == 0:
		return r.tags(ctx, named) // registries without a list still have the repository
	case unlisted && prefix == "":
		return fmt.Errorf("%s does not list its repositories to this account: name them in a file (imagefit catalog add --list FILE): %w", domain, err)
	case err == nil && found == 0 && prefix != "":
		return r.tags(ctx, named)
	}
	return err
}

// isMissing tells whether a registry answered that it has no such API.
func isMissing(err error) bool {
	answer, ok := errors.AsType[*registry.Error](err)
	return ok && (answer.Status == 405 || answer.Status == 501 || answer.Status == 400)
}

func hasPrefix(repository, prefix string) bool {
	return len(repository) > len(prefix) && repository[:len(prefix)] == prefix && repository[len(prefix)] == '/'
}

// registryOf returns the repository that the name of a source may mean.
func registryOf(source string) (named reference.Named, prefix string, err error) {
	for i := range len(source) {
		if source[i] == '/' {
			prefix = source[i+1:]
			break
		}
	}
	whole := source
	if prefix == "" {
		whole += "/x"
	}
	named, err = reference.ParseNormalizedNamed(whole)
	return named, prefix, err
}

// tags lists the tags of a repository and sends them. Tags that are not listed any more
// are gone.
func (r *run) tags(ctx context.Context, named reference.Named) error {
	auth, err := r.Auth(ctx, named)
	if err != nil {
		r.problem(err)
		return nil
	}
	if err := r.limits.wait(ctx, reference.Domain(named), r.Rate); err != nil {
		return err
	}
	repo, err := r.Registry.Repository(named, auth)
	if err != nil {
		r.problem(err)
		return nil
	}
	listed := map[string]bool{}
	err = repo.Tags(ctx, func(tags []string) error {
		for _, tag := range tags {
			if _, err := reference.WithTag(named, tag); err != nil {
				continue
			}
			listed[tag] = true
			if isArtifactTag(tag) {
				continue
			}
			if err := r.send(ctx, name{named, tag}); err != nil {
				return err
			}
		}
		return r.limits.wait(ctx, reference.Domain(named), r.Rate)
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && !errors.Is(err, registry.ErrNotFound): // which an empty repository may be
		r.problem(err)
		return nil
	}
	lost, err := r.Catalog.keepOnly(ctx, named.Name(), listed)
	r.mu.Lock()
	r.summary.Gone += lost
	r.mu.Unlock()
	return err
}
