package names

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func name(ref, image string, second int) Name {
	return Name{
		Reference: ref, ImageID: image, Manifest: digest.FromString("manifest of " + image), Index: digest.FromString("index"),
		Since: time.Unix(int64(second), 0).UTC(), Namespace: "default", Pod: "pod",
	}
}

func files(t *testing.T) (Files, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	return Files{Folder: filepath.Join(t.TempDir(), "names"), Log: slog.New(slog.NewTextHandler(&log, nil))}, &log
}

func TestNamesOutliveTheKeeper(t *testing.T) {
	t.Parallel()
	store, _ := files(t)
	k := NewKeeper(store)
	long := name("registry.example/"+strings.Repeat("a", 300)+":1", "two", 2)
	if err := k.Keep(t.Context(), name("app:1", "one", 1), name("app@sha256:1", "one", 1), long); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*Keeper{k, loaded(t, store)} {
		if got := k.All(); !reflect.DeepEqual(got, []Name{name("app:1", "one", 1), name("app@sha256:1", "one", 1), long}) || k.Len() != 3 {
			t.Errorf("names %v", got)
		}
		if got := k.Of("one"); len(got) != 2 || got[0].Reference != "app:1" {
			t.Errorf("names of one: %v", got)
		}
		if got, ok := k.Get("app:1"); !ok || got.ImageID != "one" {
			t.Errorf("app:1 is %v", got)
		}
	}
	if err := k.Forget(t.Context(), "app:1", "unknown"); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*Keeper{k, loaded(t, store)} {
		if _, ok := k.Get("app:1"); ok || k.Len() != 2 || len(k.Of("one")) != 1 {
			t.Errorf("after it was forgotten: %v", k.All())
		}
	}
}

func loaded(t *testing.T, stores ...Store) *Keeper {
	t.Helper()
	k := NewKeeper(stores...)
	if err := k.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestNameMovesToAnotherImage(t *testing.T) {
	t.Parallel()
	store, _ := files(t)
	k := NewKeeper(store)
	for second, image := range []string{"one", "two", "one", "three"} {
		if err := k.Keep(t.Context(), name("app:1", image, second)); err != nil {
			t.Fatal(err)
		}
		for _, k := range []*Keeper{k, loaded(t, store)} {
			if got, _ := k.Get("app:1"); got.ImageID != image || len(k.Of(image)) != 1 || k.Len() != 1 {
				t.Errorf("%s: %v", image, k.All())
			}
		}
	}
}

// counting counts what is written.
type counting struct {
	Store
	saved, deleted int
	fail           error
}

func (c *counting) Save(ctx context.Context, n Name) error {
	if c.saved++; c.fail != nil {
		return c.fail
	}
	return c.Store.Save(ctx, n)
}

func (c *counting) Delete(ctx context.Context, n Name) error {
	if c.deleted++; c.fail != nil {
		return c.fail
	}
	return c.Store.Delete(ctx, n)
}

func TestNameThatIsKeptAlreadyIsNotWritten(t *testing.T) {
	t.Parallel()
	store, _ := files(t)
	c := &counting{Store: store}
	k := NewKeeper(c)
	for second := range 3 {
		if err := k.Keep(t.Context(), name("app:1", "one", second)); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := k.Get("app:1"); c.saved != 1 || !got.Since.Equal(time.Unix(0, 0)) {
		t.Errorf("saved %d times, %v", c.saved, got)
	}
}

// TestNameThatIsGoneFromTheStoreIsWrittenAgain: the runtime's record of an image, with the
// labels on it, goes when another client removes the image.
func TestNameThatIsGoneFromTheStoreIsWrittenAgain(t *testing.T) {
	t.Parallel()
	store, _ := files(t)
	k := NewKeeper(store)
	kept := name("app:1", "one", 0)
	for range 2 {
		if err := k.Keep(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		if got, known := loaded(t, store).Get("app:1"); !known || got != kept {
			t.Errorf("the store has %v, %t", got, known)
		}
		if err := store.Delete(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
	}
}

// slow is a store whose writes last until they are let go.
type slow struct {
	Store
	writes chan struct{}
}

func (s slow) Save(ctx context.Context, n Name) error {
	s.writes <- struct{}{}
	<-s.writes
	return s.Store.Save(ctx, n)
}

// TestAnswersDoNotWaitForWrites: each image call loads the names.
func TestAnswersDoNotWaitForWrites(t *testing.T) {
	t.Parallel()
	store, _ := files(t)
	s := slow{store, make(chan struct{})}
	k := loaded(t, s)
	kept := make(chan error)
	go func() { kept <- k.Keep(t.Context(), name("app:1", "one", 0)) }()
	<-s.writes
	answered := make(chan error)
	go func() { answered <- k.Load(t.Context()) }()
	select {
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
		s.writes <- struct{}{}
	case <-time.After(10 * time.Second):
		t.Error("it waits for the write of a name")
		s.writes <- struct{}{}
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	if err := <-kept; err != nil {
		t.Error(err)
	}
}

// TestNameThatCannotBeWrittenIsNotKept: what is answered must outlive a restart.
func TestNameThatCannotBeWrittenIsNotKept(t *testing.T) {
	t.Parallel()
	store, _ := files(t)
	c := &counting{Store: store}
	k := NewKeeper(c)
	if err := k.Keep(t.Context(), name("app:1", "one", 0)); err != nil {
		t.Fatal(err)
	}
	c.fail = errors.New("disk full")
	err := k.Keep(t.Context(), name("app:1", "two", 1))
	if !errors.Is(err, c.fail) || !strings.Contains(err.Error(), "keep the name app:1 of image two") {
		t.Errorf("error %v", err)
	}
	if got, _ := k.Get("app:1"); got.ImageID != "one" {
		t.Errorf("kept %v", got)
	}
	if err := k.Forget(t.Context(), "app:1"); !errors.Is(err, c.fail) {
		t.Errorf("forget: %v", err)
	}
	if _, ok := k.Get("app:1"); ok {
		t.Error("a name whose image is gone is still answered with")
	}
}

type unsupported struct{ Store }

func (unsupported) Load(context.Context) ([]Name, error) { return nil, ErrUnsupported }

type away struct{ Store }

func (away) Load(context.Context) ([]Name, error) { return nil, errors.New("away") }

func TestFirstStoreOfTheRuntimeIsUsed(t *testing.T) {
	t.Parallel()
	store, _ := files(t)
	other, _ := files(t)
	if err := NewKeeper(unsupported{}, store).Keep(t.Context(), name("app:1", "one", 0)); err != nil {
		t.Fatal(err)
	}
	if k := loaded(t, unsupported{}, store, other); k.Len() != 1 {
		t.Errorf("%v", k.All())
	}
	if k := loaded(t, other, store); k.Len() != 0 {
		t.Errorf("%v", k.All())
	}
	if err := NewKeeper(away{}, store).Load(t.Context()); err == nil || errors.Is(err, ErrUnsupported) {
		t.Errorf("a runtime that is away: %v", err)
	}
	if err := NewKeeper(unsupported{}).Keep(t.Context(), name("app:1", "one", 0)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("no store: %v", err)
	}
}

// TestNewerOfTwoNamesWins has a crash between two writes.
func TestNewerOfTwoNamesWins(t *testing.T) {
	t.Parallel()
	for _, all := range [][]Name{{name("app:1", "old", 1), name("app:1", "new", 2)}, {name("app:1", "new", 2), name("app:1", "old", 1)}} {
		k := loaded(t, fixed(all))
		if got, _ := k.Get("app:1"); got.ImageID != "new" || k.Len() != 1 || len(k.Of("old")) != 0 {
			t.Errorf("%v", k.All())
		}
	}
}

type fixed []Name

func (f fixed) Load(context.Context) ([]Name, error) { return f, nil }
func (fixed) Save(context.Context, Name) error       { return nil }
func (fixed) Delete(context.Context, Name) error     { return nil }
func (fixed) Has(context.Context, Name) bool         { return true }

func TestDamagedFilesAreLeftOut(t *testing.T) {
	t.Parallel()
	store, log := files(t)
	good := name("app:1", "one", 1)
	if err := store.Save(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for file, body := range map[string]string{
		"a.json": "{", "b.json": "", "c.json": `{"reference":"app:1","imageID":"other"}`, "d.json": strings.Repeat(" ", maxFile+1), ".tmp-1": "{}", "e": "{",
	} {
		if err := os.WriteFile(filepath.Join(store.Folder, file), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(store.Folder, "f.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Load(t.Context()); err != nil || !reflect.DeepEqual(got, []Name{good}) {
		t.Errorf("%v, %v", got, err)
	}
	if lines := strings.Count(log.String(), "cannot read the name of an image"); lines != 5 {
		t.Errorf("%d lines: %s", lines, log)
	}
}

func TestNamesOfANewerVersionAreRead(t *testing.T) {
	t.Parallel()
	store, _ := files(t)
	good := name("app:1", "one", 1)
	if err := store.Save(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(store.Folder, fileOf(good))
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(body), "{", `{"hue":{"a":[1]},`, 1)
	if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Load(t.Context()); err != nil || !reflect.DeepEqual(got, []Name{good}) {
		t.Errorf("%v, %v", got, err)
	}
}
