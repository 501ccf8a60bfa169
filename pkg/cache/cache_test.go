package cache_test

import (
	_ "crypto/sha512" // so that such digests are valid, and still refused
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/cache"
)

const roomy = 1 << 30

type document struct {
	Name  string   `json:"name"`
	Parts []string `json:"parts"`
}

func open(t *testing.T, dir string, size int64) *cache.Cache {
	t.Helper()
	c, err := cache.Open(dir, size)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// files returns the paths of all regular files under dir.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			found = append(found, path)
		}
		return err
	}))
	return found
}

func imageID(s string) string { return digest.FromString(s).String() }

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, filepath.Join(dir, "made", "here"), roomy)
	body, doc := []byte("body"), document{"<é&>", []string{"a", "b"}}
	before := time.Now()
	must(t, c.PutBlob(digest.FromBytes(body), body))
	must(t, c.PutBlob(digest.FromString(""), nil))
	must(t, c.PutReferrers("registry.test/app@sha256:1", doc))
	must(t, c.PutImage(imageID("x"), doc))

	other := open(t, filepath.Join(dir, "made", "here"), roomy) // what another process sees
	if got, err := other.Blob(digest.FromBytes(body)); err != nil || string(got) != "body" {
		t.Errorf("blob: %q, %v", got, err)
	}
	if got, err := other.Blob(digest.FromString("")); err != nil || len(got) != 0 {
		t.Errorf("empty blob: %q, %v", got, err)
	}
	var referrers, image document
	at, err := other.Referrers("registry.test/app@sha256:1", &referrers)
	if err != nil || !reflect.DeepEqual(referrers, doc) {
		t.Errorf("referrers: %+v, %v", referrers, err)
	}
	if at.Before(before.Add(-time.Second)) || at.After(time.Now()) {
		t.Errorf("referrers were written at %s", at)
	}
	if err := other.Image(imageID("x"), &image); err != nil || !reflect.DeepEqual(image, doc) {
		t.Errorf("image: %+v, %v", image, err)
	}
	for _, path := range files(t, dir) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
	}
}

func TestLaterWritesReplaceEarlierOnes(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir(), roomy)
	must(t, c.PutImage(imageID("x"), document{Name: "old"}))
	must(t, c.PutImage(imageID("x"), document{Name: "new"}))
	var got document
	if err := c.Image(imageID("x"), &got); err != nil || got.Name != "new" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWhatIsNotThereIsAMiss(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir(), roomy)
	var v document
	_, blobErr := c.Blob(digest.FromString("none"))
	_, referrersErr := c.Referrers("none", &v)
	for name, err := range map[string]error{"blob": blobErr, "referrers": referrersErr, "image": c.Image(imageID("none"), &v)} {
		if !errors.Is(err, cache.ErrMiss) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What an older or newer imagefit wrote in another shape is a
// miss.
func TestADocumentOfAnotherShapeIsAMiss(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir(), roomy)
	must(t, c.PutImage(imageID("x"), []int{1}))
	var v document
	if err := c.Image(imageID("x"), &v); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("got %+v, %v", v, err)
	}
}

// What a newer imagefit wrote with more keys is read without them.
func TestKeysOfANewerVersionAreLeftOut(t *testing.T) {
	t.Parallel()
	type newer struct {
		document
		Hue []int `json:"hue"`
	}
	c := open(t, t.TempDir(), roomy)
	doc := document{"x", []string{"a"}}
	must(t, c.PutImage(imageID("x"), newer{doc, []int{1}}))
	var v document
	if err := c.Image(imageID("x"), &v); err != nil || !reflect.DeepEqual(v, doc) {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestTooLargeContentIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, roomy)
	large := make([]byte, 8<<20+1)
	d := digest.FromBytes(large)
	if err := c.PutBlob(d, large); err == nil || !strings.Contains(err.Error(), "over the limit of 8388608") {
		t.Errorf("put: %v", err)
	}
	if _, err := c.Blob(d); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("get: %v", err)
	}
	d = digest.FromBytes(large[1:])
	must(t, c.PutBlob(d, large[1:]))
	if got, err := c.Blob(d); err != nil || len(got) != 8<<20 || len(files(t, dir)) != 1 {
		t.Errorf("%d bytes, %v, in %q", len(got), err, files(t, dir))
	}
	must(t, os.Truncate(files(t, dir)[0], 1<<40)) // sparse
	if _, err := c.Blob(d); err != nil {
		t.Errorf("with something behind it: %v", err)
	}
}

func TestOnlySHA256DigestsBecomePaths(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("a", 64)
	tests := map[string]digest.Digest{
		"none": "", "no colon": digest.Digest(hex), "path": "sha256:../../../etc/passwd", "short": "sha256:abc",
		"upper case": digest.Digest("sha256:" + strings.ToUpper(hex)), "newline": digest.Digest("sha256:" + hex + "\n"),
		"slash": digest.Digest("sha256:" + hex[:62] + "/x"), "sha512": digest.SHA512.FromString("body"),
		"unknown algorithm": digest.Digest("md5:" + hex),
	}
	dir := t.TempDir()
	c := open(t, dir, roomy)
	for name, d := range tests {
		if err := c.PutBlob(d, []byte("body")); err == nil || !strings.Contains(err.Error(), "is not a sha256 digest") {
			t.Errorf("put, %s: %v", name, err)
		}
		if _, err := c.Blob(d); err == nil {
			t.Errorf("get, %s: no error", name)
		}
	}
	if err := c.PutBlob(digest.FromString("other"), []byte("body")); err == nil || !strings.Contains(err.Error(), "the content has another digest") {
		t.Errorf("wrong digest: %v", err)
	}
	if found := files(t, dir); len(found) != 0 {
		t.Errorf("kept all the same: %v", found)
	}
}

// No spelling of an id leads out of the folder, and the two
// spellings of one id are the same.
func TestImageIDsOfAnySpellingStayInTheFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, filepath.Join(dir, "state"), roomy)
	ids := []string{
		"../../x", "/etc/passwd", "sha256:../../x", "sha256:", "x\x00y", strings.Repeat("long", 1<<20),
		"docker.io/library/app:1", "sha512:" + strings.Repeat("a", 128), ".", imageID("x"), " ",
	}
	for i, id := range ids {
		must(t, c.PutImage(id, i))
	}
	for i, id := range ids {
		var got int
		if err := c.Image(id, &got); err != nil || got != i {
			t.Errorf("id %.40q: %d, %v, want %d", id, got, err, i)
		}
	}
	var bare int
	if err := c.Image(strings.TrimPrefix(imageID("x"), "sha256:"), &bare); err != nil || ids[bare] != imageID("x") {
		t.Errorf("without algorithm: %d, %v", bare, err)
	}
	found := files(t, dir)
	for _, path := range found {
		if filepath.Dir(path) != filepath.Join(dir, "state", "images") || len(filepath.Base(path)) != 64+len(".json") {
			t.Errorf("written to %s", path)
		}
	}
	if len(found) != len(ids) {
		t.Errorf("%d files of %d ids", len(found), len(ids))
	}
	if err := c.PutImage("", 1); err == nil {
		t.Error("an empty id was kept")
	}
	var v int
	if err := c.Image("", &v); err == nil || errors.Is(err, cache.ErrMiss) {
		t.Errorf("an empty id: %v", err)
	}
}

func TestWhatCannotBeEncodedIsAnError(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir(), roomy)
	var unsupported *json.UnsupportedTypeError
	if err := c.PutReferrers("key", make(chan int)); !errors.As(err, &unsupported) {
		t.Errorf("got %v", err)
	}
}

// A blob is to be had only by the repository that it came from.
func TestABlobIsReadOnlyFromItsRepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, roomy)
	body := []byte("body")
	d := digest.FromBytes(body)
	must(t, c.PutBlobFrom("registry.test/one", d, body))
	other := open(t, dir, roomy)
	if got, err := other.BlobFrom("registry.test/one", d); err != nil || string(got) != "body" {
		t.Errorf("from where it came: %q, %v", got, err)
	}
	if got, err := other.Blob(d); err != nil || string(got) != "body" {
		t.Errorf("from anywhere: %q, %v", got, err)
	}
	for _, repository := range []string{"registry.test/two", "registry.test/one/", "registry.test", ""} {
		if got, err := other.BlobFrom(repository, d); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("from %q: %q, %v", repository, got, err)
		}
	}
	must(t, c.PutBlobFrom("registry.test/two", d, body))
	if _, err := other.BlobFrom("registry.test/two", d); err != nil {
		t.Errorf("after the other had it too: %v", err)
	}
	if err := c.PutBlobFrom("registry.test/one", digest.FromString("x"), body); err == nil {
		t.Error("content of another digest was taken")
	}
	if err := c.PutBlobFrom("registry.test/three", d, []byte("of another digest")); err == nil {
		t.Error("content of another digest gave a right to the blob")
	}
	if _, err := c.BlobFrom("registry.test/three", d); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("after content of another digest: %v", err)
	}
	must(t, c.PutBlob(digest.FromString("kept"), []byte("kept"))) // as earlier versions did
	if _, err := other.BlobFrom("registry.test/one", digest.FromString("kept")); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("of unknown source: %v", err)
	}
	if _, err := other.BlobFrom("", digest.FromString("kept")); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("of no repository: %v", err)
	}
	must(t, os.RemoveAll(filepath.Join(dir, "objects"))) // each may be deleted at any time
	if _, err := other.BlobFrom("registry.test/one", d); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("with its source forgotten: %v", err)
	}
	must(t, other.PutBlobFrom("registry.test/one", d, body))
	if _, err := c.BlobFrom("registry.test/one", d); err != nil {
		t.Errorf("learned again: %v", err)
	}
}
