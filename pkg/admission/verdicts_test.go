package admission

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/policy"
)

// create is the refusal of a container with the image.
func create(t *testing.T, p *Plugin, image string) string {
	t.Helper()
	_, _, err := p.CreateContainer(t.Context(), pod("default", "api"), container(image))
	return text(err)
}

// await waits until the worker has come to something.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not after a minute: " + what)
		}
	}
}

// startVerdicts runs the worker of a plugin until the test ends.
func startVerdicts(t *testing.T, p *Plugin) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() { p.verdicts.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		working.Wait()
	})
}

// TestVerdictsFollowFactsPolicyAndRequirements, without a restart and without a read
// in the hook.
func TestVerdictsFollowFactsPolicyAndRequirements(t *testing.T) {
	t.Parallel()
	images := newKnownImages(t)
	p := New(Options{Images: images, Log: slog.New(slog.DiscardHandler), Record: newTestPlugin(images, policyWith(nil), slog.New(slog.DiscardHandler)).Record})
	if got := create(t, p, "unfit"); got != "" {
		t.Errorf("not yet evaluated: %q", got)
	}
	startVerdicts(t, p)
	becomes := func(what, image, want string) {
		t.Helper()
		await(t, what+": "+want, func() bool { return create(t, p, image) == want })
	}
	becomes("at the start", "unfit", unfit)
	for _, level := range []int{3, 2, 1} {
		images.Facts.Store(testkit.Node(level))
		want := map[int]string{3: "", 2: unfit, 1: strings.Replace(unfit, "is 2", "is 1", 1)}[level]
		becomes("other facts", "unfit", want)
	}
	images.Change(func(r *decision.Rules) { r.Policy.MalformedArtifact = policy.Unfit })
	await(t, "another policy", func() bool { return strings.Contains(create(t, p, "unclear"), "does not fit") })
	if err := images.Cache.PutImage(imageIDOf("unclear"), decision.Image{Variants: []decision.Variant{{Reference: appTag}}}); err != nil {
		t.Fatal(err)
	}
	becomes("other requirements", "unclear", "")
	if err := os.Remove(recordOf(images, "unfit")); err != nil {
		t.Fatal(err)
	}
	becomes("requirements that are gone", "unfit", "")
}

func recordOf(images *decisiontest.Bench, name string) string {
	return filepath.Join(images.Dir, "images", strings.TrimPrefix(imageIDOf(name), "sha256:")+".json")
}

// counted counts what is evaluated.
type counted struct {
	Images
	mu      sync.Mutex
	recalls []string
	fail    error
}

func (c *counted) Recall(s decision.Snapshot, id string) (decision.Recalled, error) {
	c.mu.Lock()
	c.recalls = append(c.recalls, id)
	c.mu.Unlock()
	if c.fail != nil {
		return decision.Recalled{}, c.fail
	}
	return c.Images.Recall(s, id)
}

func (c *counted) taken() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.recalls
	c.recalls = nil
	slices.Sort(taken)
	return taken
}

// TestOnlyWhatAChangeConcernsIsEvaluatedAgain: not for a device of another pod, and not
// in a hook.
func TestOnlyWhatAChangeConcernsIsEvaluatedAgain(t *testing.T) {
	t.Parallel()
	images := newKnownImages(t)
	c := &counted{Images: images}
	v := NewVerdicts(c, slog.New(slog.DiscardHandler))
	v.ask("")
	v.catchUp(t.Context())
	if got := c.taken(); len(got) != 3 {
		t.Errorf("at first evaluated %v", got)
	}
	node := func(change func(f *facts.Features)) {
		features := testkit.Node(2).Features()
		change(&features)
		images.Facts.Store(facts.New("linux", "amd64", features))
		v.catchUp(t.Context())
	}
	node(func(f *facts.Features) { f.Instances["network.virtual"] = []map[string]string{{"name": "veth1"}} })
	for range 100 {
		v.Snapshot()
		v.Lookup(imageIDOf("unfit"))
	}
	v.catchUp(t.Context())
	if got := c.taken(); len(got) != 0 {
		t.Errorf("for a device that no image requires evaluated %v", got)
	}
	node(func(f *facts.Features) { f.Attributes["cpu.x86_64"]["level"] = "3" })
	if got := c.taken(); !slices.Contains(got, imageIDOf("unfit")) {
		t.Errorf("for another level evaluated %v", got)
	}
	images.Change(func(*decision.Rules) {})
	v.catchUp(t.Context())
	if got := c.taken(); len(got) != 3 {
		t.Errorf("for other rules evaluated %v", got)
	}
}

// stepped are images that take a number of steps, by the end of their ids.
type stepped struct {
	counted
	list []string
}

func (s *stepped) Remembered() ([]string, error) { return s.list, nil }

func (s *stepped) Recall(_ decision.Snapshot, id string) (decision.Recalled, error) {
	s.recalls = append(s.recalls, id)
	return decision.Recalled{Variants: make([]decision.RecalledVariant, 1), Steps: slices.Index(s.list, id)}, nil
}

// TestCheapImagesAreEvaluatedFirst, so that a costly one lets the others wait for
// nothing; one that a container is created from comes before all others.
func TestCheapImagesAreEvaluatedFirst(t *testing.T) {
	t.Parallel()
	images := newKnownImages(t)
	s := &stepped{counted: counted{Images: images}}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		s.list = append(s.list, imageIDOf(name))
	}
	v := NewVerdicts(s, slog.New(slog.DiscardHandler))
	v.ask("")
	v.catchUp(t.Context())
	s.recalls = nil
	images.Change(func(*decision.Rules) {})
	v.ask(s.list[3])
	v.catchUp(t.Context())
	want := []string{s.list[3], s.list[0], s.list[1], s.list[2], s.list[3], s.list[4]}
	if !slices.Equal(s.recalls, want) {
		t.Errorf("evaluated %v, want %v", s.recalls, want)
	}
}

// TestUnreadableRequirementsAdmitAndAreLoggedOnce: an image that is only not known is
// not logged.
func TestUnreadableRequirementsAdmitAndAreLoggedOnce(t *testing.T) {
	t.Parallel()
	images, log := newKnownImages(t), new(testkit.Log)
	path := recordOf(images, "unfit")
	if err := errors.Join(os.Remove(path), os.Symlink(path, path)); err != nil {
		t.Fatal(err)
	}
	p := newTestPlugin(images, policyWith(nil), log.Logger())
	for range 3 {
		if got := create(t, p, "unfit"); got != "" {
			t.Error(got)
		}
		create(t, p, "stranger")
		p.verdicts.catchUp(t.Context())
	}
	if log.Count("cannot read the requirements of an image") != 1 {
		t.Errorf("the log does not mention it once: %s", log.String())
	}
}

// TestImagesInUseAreReadAgain, so that their records do not count as unused.
func TestImagesInUseAreReadAgain(t *testing.T) {
	t.Parallel()
	images := newKnownImages(t)
	synctest.Test(t, func(t *testing.T) {
		c := &counted{Images: images}
		v := NewVerdicts(c, slog.New(slog.DiscardHandler))
		v.ask("")
		v.catchUp(t.Context())
		c.taken()
		for range 12 {
			time.Sleep(useInterval / 6)
			v.Lookup(imageIDOf("unfit"))
			v.catchUp(t.Context())
		}
		if got := c.taken(); len(got) < 1 || len(got) > 2 || got[0] != imageIDOf("unfit") {
			t.Errorf("read %v", got)
		}
	})
}

// TestImagesAreListedWhereTheyCannotBeWatched.
func TestImagesAreListedWhereTheyCannotBeWatched(t *testing.T) {
	t.Parallel()
	images, log := newKnownImages(t), new(testkit.Log)
	synctest.Test(t, func(t *testing.T) {
		v := NewVerdicts(unwatched{images}, log.Logger())
		ctx, cancel := context.WithTimeout(t.Context(), 3*listInterval)
		defer cancel()
		v.Run(ctx)
		if _, why := v.Lookup(imageIDOf("unfit")); why != "" {
			t.Error("an image is not known")
		}
	})
	if log.Count("cannot watch the requirements of images") != 1 {
		t.Errorf("the log does not mention it once: %s", log.String())
	}
}

type unwatched struct{ Images }

func (unwatched) FollowRemembered(context.Context, func(string)) error { return errors.ErrUnsupported }

// TestMoreImagesThanThereIsRoomForAreForgotten, those that no container came from first.
func TestMoreImagesThanThereIsRoomForAreForgotten(t *testing.T) {
	t.Parallel()
	s := &stepped{counted: counted{Images: newKnownImages(t)}, list: []string{imageIDOf("in use")}}
	v := NewVerdicts(s, slog.New(slog.DiscardHandler))
	v.ask("")
	v.catchUp(t.Context())
	for i := range maxKnown + 100 {
		v.evaluate(cache.ImageKey(string(rune(i)) + "x"))
	}
	if v.known.Len() > maxKnown {
		t.Errorf("%d images are in memory", v.known.Len())
	}
	if _, why := v.Lookup(imageIDOf("in use")); why != "" {
		t.Error("the image in use is forgotten")
	}
	if _, why := v.Lookup(imageIDOf("late")); why == "" {
		t.Error("an image that was not evaluated is known")
	}
	v.catchUp(t.Context())
	if _, why := v.Lookup(imageIDOf("late")); why != "" {
		t.Error("an image that a container was created from is not known")
	}
}
