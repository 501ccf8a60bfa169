package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/distribution/reference"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

const (
	// maxImages bounds the images whose needs are known.
	maxImages = 8192
	// perHost and maxLookups bound the images that are looked up at the same time, so that
	// a registry which does not answer does not keep the others waiting.
	perHost    = 8
	maxLookups = 64
	// failedTTL is how long an image is not looked up again after it could not be.
	failedTTL = 30 * time.Second
	// staleFor is how long the needs of an image are used while its registry fails.
	staleFor = 24 * time.Hour
)

// Gatherer finds out what an image needs.
type Gatherer func(ctx context.Context, ref string, auth *registry.Auth) (*decision.Needs, error)

// image is an image as one pod may read it.
type image struct {
	ref     string
	secrets string // of the pod, as namespace/name,name; "" where none are used
}

// images keeps what images need, and finds it out in the background: whoever asks for
// what is not known is told later.
type images struct {
	find   Gatherer
	auth   func(ctx context.Context, i image) (*registry.Auth, error)
	ttl    time.Duration // after which a tag is resolved again
	budget time.Duration // for one lookup
	looked func(err error, took time.Duration)

	all      *semaphore.Weighted
	lookups  sync.WaitGroup
	mu       sync.Mutex
	known    *lru.Cache[image, *known]
	registry map[string]*slots
}

// known is what is known of an image. Its fields are guarded by images.mu.
type known struct {
	needs   *decision.Needs
	err     error     // of the last lookup
	at      time.Time // of the last lookup
	good    time.Time // of the last one that found something
	running bool
	waiting map[string]func() // who is told when the lookup ends
	on      evaluated
}

// slots are the lookups at one registry.
type slots struct {
	*semaphore.Weighted
	users int
}

func newImages(find Gatherer) *images {
	known, _ := lru.New[image, *known](maxImages) // fails for sizes below 1 only
	return &images{find: find, all: semaphore.NewWeighted(maxLookups), known: known, registry: map[string]*slots{}}
}

// get returns what is known of an image. While that is looked up it returns false, and
// tell is called afterwards.
func (s *images) get(ctx context.Context, i image, waiter string, tell func()) (*known, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.known.Get(i)
	if !ok {
		k = &known{}
		s.known.Add(i, k)
	}
	ttl := s.ttl
	if k.err != nil {
		ttl = failedTTL
	}
	if !k.at.IsZero() && time.Since(k.at) < ttl {
		return k, true
	}
	if !k.running {
		k.running, k.waiting = true, map[string]func(){}
		s.lookups.Go(func() { s.look(ctx, i, k) })
	}
	k.waiting[waiter] = tell
	return nil, false
}

// await returns what is known of an image once it was looked up.
func (s *images) await(ctx context.Context, i image) *known {
	for {
		looked := make(chan struct{})
		k, ready := s.get(ctx, i, rand.Text(), func() { close(looked) })
		if ready {
			return k
		}
		select {
		case <-looked:
		case <-ctx.Done():
			return &known{err: ctx.Err()}
		}
	}
}

// read returns what is known of an image, for as long as a lookup does not change it.
func (s *images) read(k *known) (*decision.Needs, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.err != nil && k.needs != nil && time.Since(k.good) < staleFor {
		return k.needs, nil
	}
	return k.needs, k.err
}

// evaluated returns how the image was found to fit last.
func (s *images) evaluated(k *known) evaluated {
	s.mu.Lock()
	defer s.mu.Unlock()
	return k.on
}

// setEvaluated keeps how the image fits, if it is still known to need the same.
func (s *images) setEvaluated(k *known, needs *decision.Needs, on evaluated) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.needs == needs {
		k.on = on
	}
}

func (s *images) look(ctx context.Context, i image, k *known) {
	ctx, cancel := context.WithTimeout(ctx, s.budget)
	defer cancel()
	start := time.Now()
	needs, err := s.lookWithin(ctx, i)
	s.looked(err, time.Since(start))
	s.mu.Lock()
	k.at, k.err, k.running = time.Now(), err, false
	if err == nil {
		k.needs, k.good, k.on = needs, k.at, evaluated{}
	}
	waiting := k.waiting
	k.waiting = nil
	s.mu.Unlock()
	for _, tell := range waiting {
		tell()
	}
}

func (s *images) lookWithin(ctx context.Context, i image) (*decision.Needs, error) {
	release, err := s.reserve(ctx, hostOf(i.ref))
	if err != nil {
		return nil, err
	}
	defer release()
	auth, err := s.auth(ctx, i)
	if err != nil {
		return nil, err
	}
	return s.find(ctx, i.ref, auth)
}

var errBusy = errors.New("its registry did not answer the lookups of other images in time")

// reserve waits until the registry, and the controller, may be used once more.
func (s *images) reserve(ctx context.Context, host string) (release func(), err error) {
	s.mu.Lock()
	of := s.registry[host]
	if of == nil {
		of = &slots{Weighted: semaphore.NewWeighted(perHost)}
		s.registry[host] = of
	}
	of.users++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if of.users--; of.users == 0 {
			delete(s.registry, host)
		}
	}
	if of.Acquire(ctx, 1) != nil {
		leave()
		return nil, errBusy
	}
	if s.all.Acquire(ctx, 1) != nil {
		of.Release(1)
		leave()
		return nil, errBusy
	}
	return func() {
		s.all.Release(1)
		of.Release(1)
		leave()
	}, nil
}

// hostOf is the registry of a reference; an invalid one fails by itself.
func hostOf(ref string) string {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return ""
	}
	return reference.Domain(named)
}
