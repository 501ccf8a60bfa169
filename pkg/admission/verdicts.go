package admission

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
)

const (
	// maxKnown bounds the images whose verdicts are in memory. Of more, those stay
	// that containers were created from.
	maxKnown = 32_768
	// maxAsked bounds the images that wait to be evaluated one by one; of more, all
	// are looked at.
	maxAsked = 4096
	// checkInterval is how often the worker looks whether facts or rules changed,
	// where no container makes it look.
	checkInterval = time.Second
	// listInterval is how often it evaluates all images, where it is not told of changes.
	// Those that a hook does not find are looked at meanwhile.
	listInterval = time.Minute
	// useInterval is how often the record of an image that is in use is read again, so
	// that it does not count as unused.
	useInterval = 10 * time.Minute
)

// Images evaluates images by what is kept of them.
type Images interface {
	// Snapshot returns the current rules and facts.
	Snapshot() decision.Snapshot
	// Recall evaluates what is kept under an image id.
	Recall(s decision.Snapshot, imageID string) (decision.Recalled, error)
	// Remembered lists the images about which something is kept.
	Remembered() ([]string, error)
	// FollowRemembered calls changed with each image about which something else is
	// kept, and with "" where some may have been missed.
	FollowRemembered(ctx context.Context, changed func(id string)) error
}

// Verdicts has the verdict on each known image in memory. A worker of its own evaluates
// an image when something else is kept of it, and all those that it may concern when
// facts or rules change; until it has, the verdict before applies. So a hook costs the
// same for every image, whatever that says of itself.
type Verdicts struct {
	images Images
	log    *slog.Logger
	known  *lru.Cache[string, known]
	loaded chan struct{} // closed when all images have been evaluated once
	wake   chan struct{}

	mu       sync.Mutex
	snapshot decision.Snapshot // of the worker
	asked    []string          // to be evaluated first
	waiting  map[string]bool   // those of asked
	relist   bool
	listed   bool
	stale    []string // to be evaluated again, the cheapest first
	failed   map[string]bool
}

// known is the verdict on one image.
type known struct {
	decision.Recalled
	at time.Time
}

// NewVerdicts returns verdicts on images; Run evaluates them.
func NewVerdicts(images Images, log *slog.Logger) *Verdicts {
	table, _ := lru.New[string, known](maxKnown) // fails for sizes below 1 only
	return &Verdicts{
		images: images, log: log, known: table, loaded: make(chan struct{}), wake: make(chan struct{}, 1),
		waiting: map[string]bool{}, failed: map[string]bool{}, snapshot: images.Snapshot(),
	}
}

// Lookup returns the verdict on an image, or why there is none by now. It neither reads
// nor evaluates anything.
func (v *Verdicts) Lookup(imageID string) (decision.Recalled, policy.Reason) {
	key := cache.ImageKey(imageID)
	found, ok := v.known.Get(key)
	if ok && time.Since(found.at) < useInterval {
		return found.Recalled, ""
	}
	waits := v.ask(key)
	switch {
	case ok:
		return found.Recalled, ""
	case !v.isLoaded():
		return found.Recalled, policy.Starting
	case waits:
		return found.Recalled, policy.NotEvaluatedYet
	default:
		return found.Recalled, policy.NotKnown
	}
}

// Snapshot returns the current rules and facts, by which the verdicts may be brought up
// to date only now.
func (v *Verdicts) Snapshot() decision.Snapshot {
	s := v.images.Snapshot()
	v.mu.Lock()
	changed := s != v.snapshot
	v.mu.Unlock()
	if changed {
		v.signal()
	}
	return s
}

// Loaded is closed when all images have been evaluated once.
func (v *Verdicts) Loaded() <-chan struct{} { return v.loaded }

func (v *Verdicts) isLoaded() bool {
	select {
	case <-v.loaded:
		return true
	default:
		return false
	}
}

// ask lets the worker evaluate an image; "" is all of them. It reports whether the image
// had been asked for before, and waits.
func (v *Verdicts) ask(key string) (waits bool) {
	v.mu.Lock()
	switch {
	case key == "" || len(v.asked) >= maxAsked:
		v.relist = true
	case v.waiting[key]:
		waits = true
	default:
		v.waiting[key] = true
		v.asked = append(v.asked, key)
	}
	v.mu.Unlock()
	v.signal()
	return waits
}

func (v *Verdicts) signal() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// Run evaluates images until ctx ends.
func (v *Verdicts) Run(ctx context.Context) {
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() { v.follow(ctx) })
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		v.catchUp(ctx)
		select {
		case <-ctx.Done():
			return
		case <-v.wake:
		case <-tick.C:
		}
	}
}

// follow is told of images, and lists all of them while it is not.
func (v *Verdicts) follow(ctx context.Context) {
	reported := ""
	for ctx.Err() == nil {
		err := v.images.FollowRemembered(ctx, func(key string) { v.ask(key) })
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != reported {
			v.log.Warn("cannot watch the requirements of images, listing them at intervals", "error", err, "interval", listInterval)
			reported = text
		}
		v.ask("")
		select {
		case <-ctx.Done():
		case <-time.After(listInterval):
		}
	}
}

// catchUp evaluates all images that wait for it.
func (v *Verdicts) catchUp(ctx context.Context) {
	for ctx.Err() == nil {
		v.notice()
		key, ok := v.next()
		if !ok {
			break
		}
		v.evaluate(key)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.listed && ctx.Err() == nil && !v.isLoaded() {
		close(v.loaded)
	}
}

// notice finds out what to evaluate again: all images after a change of the rules, and
// those that rest on facts which are not the same any more. The cheap ones come first,
// so that an image that costs much to evaluate lets the others wait for nothing.
func (v *Verdicts) notice() {
	now := v.images.Snapshot()
	v.mu.Lock()
	before, relist := v.snapshot, v.relist
	v.snapshot, v.relist, v.listed = now, false, v.listed || relist
	v.mu.Unlock()
	var stale []string
	if now != before {
		differ := func([]string) bool { return true }
		if now.Rules == before.Rules && now.Facts.OS() == before.Facts.OS() && now.Facts.Arch() == before.Facts.Arch() {
			sets := now.Facts.DifferingSets(before.Facts)
			differ = func(of []string) bool { return slices.ContainsFunc(of, func(set string) bool { return sets[set] }) }
		}
		stale = v.keysOf(differ)
	}
	if relist {
		listed, err := v.images.Remembered()
		if err != nil {
			v.log.Warn("cannot list the images of which requirements are kept", "error", err)
		}
		stale = append(stale, listed...)
		stale = append(stale, v.keysOf(func([]string) bool { return true })...) // they may be gone
	}
	if stale == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	steps := map[string]int{}
	for _, key := range append(stale, v.stale...) {
		found, _ := v.known.Peek(key)
		steps[key] = found.Steps
	}
	v.stale = v.stale[:0]
	for key := range steps {
		v.stale = append(v.stale, key)
	}
	slices.SortFunc(v.stale, func(a, b string) int { return steps[b] - steps[a] }) // taken from the end
}

// keysOf lists the images whose verdicts rest on sets that are chosen.
func (v *Verdicts) keysOf(chosen func(sets []string) bool) []string {
	var keys []string
	for _, key := range v.known.Keys() {
		if found, ok := v.known.Peek(key); ok && chosen(found.Sets) {
			keys = append(keys, key)
		}
	}
	return keys
}

// next takes the image to evaluate next.
func (v *Verdicts) next() (key string, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case len(v.asked) > 0:
		key, v.asked = v.asked[0], v.asked[1:]
	case len(v.stale) > 0:
		last := len(v.stale) - 1
		key, v.stale = v.stale[last], v.stale[:last]
	default:
		return "", false
	}
	return key, true
}

// evaluate brings the verdict on one image up to date. What cannot be read is not known.
// Where there are more images than there is room for, those stay that were asked for.
func (v *Verdicts) evaluate(key string) {
	recalled, err := v.images.Recall(v.snapshot, key)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err != nil:
		v.known.Remove(key)
	case v.waiting[key] || v.known.Contains(key) || v.known.Len() < maxKnown:
		v.known.Add(key, known{recalled, time.Now()})
	}
	delete(v.waiting, key)
	unreadable := err != nil && !errors.Is(err, cache.ErrMiss)
	if unreadable && !v.failed[key] {
		v.log.Error("cannot read the requirements of an image, admitting its containers", "image", key, "error", err)
	}
	if delete(v.failed, key); unreadable && len(v.failed) < maxAsked {
		v.failed[key] = true
	}
}
