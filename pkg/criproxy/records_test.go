package criproxy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"

	"github.com/imagefit/imagefit/pkg/imagestore"
)

// TestRecordExists has a record of an earlier pull, with labels of others.
func TestRecordExists(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.runtime.records[appTag] = &imagesapi.Image{Name: appTag, Labels: map[string]string{"theirs": "stays", imagestore.LabelManifest: "stale"}}
	id, err := b.pull(t.Context())
	if err != nil || b.status(t, appTag) != id {
		t.Fatalf("pulled %q, %v", id, err)
	}
	record := b.runtime.record(appTag)
	if got := b.runtime.written(); !strings.HasPrefix(got, "create "+appRepo+"@sha256:") || !strings.HasSuffix(got, ", update "+appTag) {
		t.Errorf("wrote %s", got)
	}
	if record.Labels["theirs"] != "stays" || record.Labels[imagestore.LabelManifest] != record.Target.Digest || record.Labels[managed] != "managed" {
		t.Errorf("the record is %v", record)
	}
}

// TestRecordStands pulls again: what is right already is not written again, and
// what is only almost right is.
func TestRecordStands(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	pull := func(when string, want int) {
		t.Helper()
		before := strings.Count(b.runtime.written(), appRepo)
		id, err := b.pull(t.Context())
		if err != nil || b.status(t, appTag) != id {
			t.Fatalf("%s: pulled %q, %v", when, id, err)
		}
		if wrote := strings.Count(b.runtime.written(), appRepo) - before; wrote != want {
			t.Errorf("%s: %d writes, want %d: %s", when, wrote, want, b.runtime.written())
		}
	}
	pull("the first time", 2)
	pull("again", 0)
	for name, change := range map[string]func(*imagesapi.Image){
		"another target":       func(i *imagesapi.Image) { i.Target.Digest = imageID("else") },
		"another manifest":     func(i *imagesapi.Image) { i.Labels[imagestore.LabelManifest] = "stale" },
		"another index":        func(i *imagesapi.Image) { i.Labels[imagestore.LabelIndex] = "stale" },
		"not managed any more": func(i *imagesapi.Image) { delete(i.Labels, managed) },
	} {
		b.runtime.mu.Lock()
		change(b.runtime.records[appTag])
		b.runtime.mu.Unlock()
		pull(name, 1)
	}
}

// TestWaitsForTheRecord has a runtime that takes its time to show a record.
func TestWaitsForTheRecord(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.runtime.delay = 300 * time.Millisecond
	start := time.Now()
	id, err := b.pull(t.Context())
	if err != nil || b.status(t, appTag) != id {
		t.Errorf("pulled %q, %v, shows %q", id, err, b.status(t, appTag))
	}
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("answered after %s", took)
	}
}

// TestWaitsForTheIndex has a tag that CRI shows all the time, so that it is no
// sign of the record beside it.
func TestWaitsForTheIndex(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	if _, err := b.pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.runtime.mu.Lock()
	var index string
	for name := range b.runtime.records {
		if name != appTag {
			index = name
		}
	}
	delete(b.runtime.records, index)
	delete(b.runtime.shown, index)
	b.runtime.delay = 100 * time.Millisecond
	b.runtime.mu.Unlock()
	id, err := b.pull(t.Context())
	if err != nil || b.status(t, index) != id {
		t.Errorf("pulled %q, %v, shows %q as %s", id, err, b.status(t, index), index)
	}
}

// TestRecordNeverShows goes on as without us where that may run.
func TestRecordNeverShows(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.runtime.never = true
	b.puller.records.timeout = 100 * time.Millisecond
	id, err := b.pull(t.Context())
	if err != nil || id != imageID("1") || b.decider.recalled(id) != "linux/amd64" {
		t.Errorf("pulled %q, %v, remembered %q", id, err, b.decider.recalled(id))
	}
	if got := b.runtime.requests(); len(got) != 2 {
		t.Errorf("%d pulls, want the choice and then the request itself", len(got))
	}
}

// TestRecordNeverShowsNoOther fails where nothing else may run.
func TestRecordNeverShowsNoOther(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.registry.index("1", "v3")
	b.runtime.never = true
	b.puller.records.timeout = 100 * time.Millisecond
	_, err := b.pull(t.Context())
	checkStatus(t, err, codes.Unknown, "imagefit: linux/amd64/v3 of "+appTag+" is pulled, but the runtime does not show it under that name")
	if got := b.runtime.requests(); len(got) != 1 {
		t.Errorf("%d pulls", len(got))
	}
}

func TestConfigOf(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 1, nil)
	image := b.registry.image("", "some")
	d := func(name string) digest.Digest { return digest.FromString(name) }
	b.runtime.content[image.Digest] = b.registry.manifest(image.Digest)
	b.runtime.content[d("no JSON")] = []byte("<html>")
	b.runtime.content[d("huge")] = append(b.registry.manifest(image.Digest), bytes.Repeat([]byte(" "), 4<<20)...)
	for _, test := range []struct {
		name     string
		manifest digest.Digest
		want     string
		fails    bool
	}{
		{"there", image.Digest, imageID("some"), false},
		{"not there", d("missing"), "", true},
		{"no JSON", d("no JSON"), "", true},
		{"huge", d("huge"), "", true},
	} {
		got, err := b.puller.records.store.ConfigOf(t.Context(), test.manifest)
		if got.String() != test.want || (err != nil) != test.fails {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}
