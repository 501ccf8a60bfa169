package cache_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/cache"
)

// earlier writes what versions with one file for each object kept.
type earlier struct {
	t   *testing.T
	dir string
}

func (e earlier) file(name string, content []byte) {
	e.t.Helper()
	path := filepath.Join(e.dir, name)
	must(e.t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(e.t, os.WriteFile(path, content, 0o600))
}

func (e earlier) blob(repository, content string) digest.Digest {
	e.t.Helper()
	d := digest.FromString(content)
	e.file("blobs/sha256/"+d.Encoded(), []byte(content))
	source := repository + "@" + d.String()
	e.file("sources/"+digest.FromString(source).Encoded(), []byte(source+"\n"))
	return d
}

func (e earlier) document(name string, at time.Time, v any, needs ...digest.Digest) {
	e.t.Helper()
	body, err := json.Marshal(v)
	must(e.t, err)
	content, err := json.Marshal(map[string]any{
		"time": at, "sum": digest.FromString(at.Format(time.RFC3339Nano) + "\n" + string(body)), "of": "registry.test/app",
		"needs": needs, "body": json.RawMessage(body),
	})
	must(e.t, err)
	e.file(name, content)
}

// TestWhatAnEarlierVersionKeptIsTakenOver, and none of its files is left.
func TestWhatAnEarlierVersionKeptIsTakenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := earlier{t, dir}
	const repository = "registry.test/app"
	index, body := old.blob(repository, "an index"), old.blob(repository, "a body")
	at := time.Date(2026, 11, 1, 2, 3, 4, 5, time.UTC)
	old.document("referrers/"+digest.FromString(repository+"@sha256:1").Encoded()+".json", at, document{Name: "list"})
	decided := "images/" + digest.FromString("x").Encoded() + ".json"
	old.document(decided, at, document{Name: "decided"}, body, digest.FromString("missing"), "wrong")
	setAge(t, filepath.Join(dir, decided), 50*time.Hour)
	old.document("images/"+digest.FromString("y").Encoded()+".json", at, document{Name: "without"})
	old.file("blobs/sha256/"+digest.FromString("damaged").Encoded(), []byte("something else"))
	old.file("referrers/.tmp-left", []byte("half"))
	old.file("sources/of-others", nil)
	for _, c := range []*cache.Cache{open(t, dir, roomy), open(t, dir, roomy)} {
		for d, want := range map[digest.Digest]string{index: "an index", body: "a body"} {
			if got, err := c.BlobFrom(repository, d); err != nil || string(got) != want {
				t.Errorf("%s: %q, %v", want, got, err)
			}
			if _, err := c.BlobFrom("registry.test/other", d); err == nil {
				t.Errorf("%s is of every repository", want)
			}
		}
		var list, decided, without document
		if when, err := c.Referrers(repository+"@sha256:1", &list); err != nil || list.Name != "list" || !when.Equal(at) {
			t.Errorf("list %+v of %s, %v", list, when, err)
		}
		bodies, err := c.ImageWithBodies(imageID("x"), &decided)
		if err != nil || decided.Name != "decided" || !reflect.DeepEqual(bodies, cache.Bodies{body: []byte("a body")}) {
			t.Errorf("%+v with %q, %v", decided, bodies, err)
		}
		if err := c.Image(imageID("y"), &without); err != nil || without.Name != "without" {
			t.Errorf("%+v, %v", without, err)
		}
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if want := []string{"images", "objects", "sources"}; !reflect.DeepEqual(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "sources")); len(left) != 1 || left[0].Name() != "of-others" {
		t.Errorf("of sources %v is left", left)
	}
}

// TestAStartTakesOverSoManyFiles, and removes the others: while it does, calls wait.
func TestAStartTakesOverSoManyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := earlier{t, dir}
	const most = 4096
	var blobs []digest.Digest
	for i := range most + 100 {
		blobs = append(blobs, digest.FromString(fmt.Sprint(i)))
		old.file("blobs/sha256/"+blobs[i].Encoded(), []byte(fmt.Sprint(i)))
	}
	c := open(t, dir, roomy)
	found := 0
	for _, d := range blobs {
		if _, err := c.Blob(d); err == nil {
			found++
		}
	}
	if found != most {
		t.Errorf("%d blobs are taken over, want %d", found, most)
	}
	if _, err := os.Stat(filepath.Join(dir, "blobs")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the earlier folder is left: %v", err)
	}
}

// TestAnEarlierVersionReadsNoDecisionWithoutItsBodies: it would not find them, and admit
// what does not fit. To it, such a decision is damaged, so it looks the image up again.
func TestAnEarlierVersionReadsNoDecisionWithoutItsBodies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, roomy)
	body := digest.FromString("a body")
	must(t, c.PutBlob(body, []byte("a body")))
	for _, needs := range [][]digest.Digest{nil, {body}} {
		must(t, c.PutImageOf("registry.test/app", imageID("x"), document{Name: "x"}, needs...))
		text, err := os.ReadFile(filepath.Join(dir, "images", digest.FromString("x").Encoded()+".json"))
		must(t, err)
		var e struct {
			Time time.Time       `json:"time"`
			Sum  digest.Digest   `json:"sum"`
			Body json.RawMessage `json:"body"`
		}
		must(t, json.Unmarshal(text, &e))
		isWhole := e.Sum == digest.FromString(e.Time.UTC().Format(time.RFC3339Nano)+"\n"+string(e.Body))
		if isWhole != (needs == nil) {
			t.Errorf("with %d bodies, an earlier version takes it for whole: %t", len(needs), isWhole)
		}
	}
}
