package integration

import (
	"cmp"
	"context"
	"crypto/rand"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// scene is one repository, "app", and everything on the node that comes of it.
// Tests call manifests, indexes and images by names of their own.
type scene struct {
	*fit
	client  *stack.CRI // what pulls and removes
	alone   bool       // the client talks to containerd itself, without imagefit
	repo    *stack.Repo
	names   map[digest.Digest]string
	built   map[string]ocispec.Descriptor   // by name
	indexes map[string][]ocispec.Descriptor // by name
	asked   map[string]bool                 // references that pictures look at

	shapes []string // one for each picture so far
	want   []string // the shapes of the other scene, or nil
}

// newScene makes a scene of a repository of its own. What it leaves is removed at
// its end.
func (f *fit) newScene(t *testing.T, client *stack.CRI) *scene {
	s := &scene{
		fit: f, client: client, alone: client == f.containerd.CRI,
		repo:  f.registry.Repo("app-" + strings.ToLower(rand.Text()[:8])),
		names: map[digest.Digest]string{}, built: map[string]ocispec.Descriptor{},
		indexes: map[string][]ocispec.Descriptor{}, asked: map[string]bool{},
	}
	t.Cleanup(func() { s.clear(t) })
	return s
}

// play runs a script through the proxy, then without us on an image of its own,
// and compares what can be seen of the images: which tags and indexes resolve,
// which of them to the same image, and what is left without a tag.
func (f *fit) play(t *testing.T, script func(*testing.T, *scene)) {
	t.Helper()
	ours := f.newScene(t, f.cri)
	script(t, ours)
	alone := f.newScene(t, f.containerd.CRI)
	alone.want = ours.shapes
	script(t, alone)
}

// push pushes an index under a tag. Images are called after their platform,
// "plain" for amd64 and "v3" for amd64/v3; behind a colon what else is in their
// config, behind a plus what is in their manifest alone.
func (s *scene) push(t *testing.T, tag, index string, images ...string) {
	t.Helper()
	var entries []ocispec.Descriptor
	for _, name := range images {
		if _, found := s.built[name]; !found {
			s.build(t, name)
		}
		entries = append(entries, s.built[name])
	}
	desc, err := s.repo.PushIndexOf(ctx(t), tag, entries...)
	if err != nil {
		t.Fatal(err)
	}
	s.names[desc.Digest], s.built[index], s.indexes[index] = index, desc, entries
	for _, ref := range []string{"app:" + tag, "app@" + index, "app:" + tag + "@" + index} {
		s.asked[ref] = true
	}
}

func (s *scene) build(t *testing.T, name string) {
	t.Helper()
	config, _, other := strings.Cut(name, "+")
	image := variants("amd64")[0]
	image.Variant, image.OwnLayer, image.PlainLayer = config+" of "+s.repo.Ref("1"), true, other
	if strings.HasPrefix(name, "v3") {
		image.Platform.Variant = "v3"
	}
	manifest, err := s.repo.PushImage(ctx(t), "", image)
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.repo.Config(ctx(t), manifest)
	if err != nil {
		t.Fatal(err)
	}
	s.names[manifest.Digest], s.names[id], s.built[name] = name, config, manifest
	s.asked["app@"+name], s.asked["id:"+config] = true, true
}

// ref is what a picture's name of a reference means: "app:1", "app@INDEX",
// "app:1@INDEX" or "id:v3".
func (s *scene) ref(short string) string {
	if name, found := strings.CutPrefix(short, "id:"); found {
		for d, known := range s.names {
			if known == name && d != s.built[name].Digest {
				return d.String()
			}
		}
		return "no image " + name
	}
	base := strings.TrimSuffix(s.repo.Ref(""), ":")
	rest, name, byDigest := strings.Cut(strings.TrimPrefix(short, "app"), "@")
	if byDigest {
		return base + rest + "@" + s.built[name].Digest.String()
	}
	return base + rest
}

// short is the opposite, "" for what does not belong to the scene.
func (s *scene) short(ref string) string {
	if name, found := s.names[digest.Digest(ref)]; found {
		return "id:" + name
	}
	rest, found := strings.CutPrefix(ref, strings.TrimSuffix(s.repo.Ref(""), ":"))
	if !found {
		return ""
	}
	tag, d, byDigest := strings.Cut(rest, "@")
	if byDigest {
		return "app" + tag + "@" + cmp.Or(s.names[digest.Digest(d)], d)
	}
	return "app" + tag
}

// pull pulls with the scene's client, remove removes by CRI.
func (s *scene) pull(t *testing.T, refs ...string) {
	t.Helper()
	for _, short := range refs {
		id, err := s.client.Pull(ctx(t), s.ref(short), stack.PullOptions{})
		if err != nil {
			t.Fatalf("pull %s: %v", short, err)
		}
		wantID(t, s.client, id, s.ref(short))
	}
}

func (s *scene) remove(t *testing.T, short string) { s.removeWith(t, s.client, short) }

func (s *scene) removeWith(t *testing.T, cri *stack.CRI, short string) {
	t.Helper()
	if err := cri.Remove(ctx(t), s.ref(short)); err != nil {
		t.Fatalf("remove %s: %v", short, err)
	}
}

// ctrRemove removes one record of containerd's.
func (s *scene) ctrRemove(t *testing.T, short string) {
	t.Helper()
	if err := s.containerd.RemoveRecord(ctx(t), s.ref(short)); err != nil {
		t.Fatalf("ctr images rm %s: %v", short, err)
	}
}

// pullBehind pulls behind our back.
func (s *scene) pullBehind(t *testing.T, short string) {
	t.Helper()
	if _, err := s.containerd.CRI.Pull(ctx(t), s.ref(short), stack.PullOptions{}); err != nil {
		t.Fatalf("pull %s behind our back: %v", short, err)
	}
}

// clear removes what is left of the scene, and checks that nothing is.
func (s *scene) clear(t *testing.T) {
	t.Helper()
	for short := range s.asked {
		if err := s.containerd.CRI.Remove(ctx(t), s.ref(short)); err != nil {
			t.Fatalf("remove %s: %v", short, err)
		}
	}
	if left := s.picture(t); left != "" {
		t.Errorf("after all was removed there is left\n%s", left)
	}
	content := s.content(t)
	for digest, name := range s.names {
		if content[digest] {
			t.Errorf("after all was removed the content of %s is left", name)
		}
	}
}

// own is the manifest or index that a pull of the index gives a record of its own.
func (s *scene) own(manifest, index string) string {
	if s.alone {
		return index
	}
	return manifest
}

// chosenTag is the line of a tag that the runtime has a record of.
var chosenTag = regexp.MustCompile(`(?m)^(app:[^@ ]+) -> [^ ]+: ([^ ,]+), chosen from .*$`)

// sees compares the picture at once, or its shape where we are not in the way.
func (s *scene) sees(t *testing.T, want string) {
	t.Helper()
	s.compare(t, want, 0)
}

// soonSees waits for it: CRI follows containerd's records by events.
func (s *scene) soonSees(t *testing.T, want string) {
	t.Helper()
	s.compare(t, want, 5*time.Second)
}

func (s *scene) compare(t *testing.T, want string, limit time.Duration) {
	t.Helper()
	want = strings.ReplaceAll(strings.TrimSpace(want), "\t", "")
	if s.byProxy { // which has no record of a tag that it chose for
		want = chosenTag.ReplaceAllString(want, "$1 -> kept: $2")
	}
	step := len(s.shapes)
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		picture, shape := s.picture(t), s.shape(t)
		good := picture == want
		if s.alone {
			good = step < len(s.want) && shape == s.want[step]
		}
		if !good && time.Now().Before(deadline) {
			continue
		}
		if s.shapes = append(s.shapes, shape); good {
			return
		}
		if !s.alone {
			t.Errorf("step %d: the picture is\n%s\nwant\n%s", step+1, picture, want)
		} else if step < len(s.want) {
			t.Errorf("step %d: without us one sees %q, with us %q\n%s", step+1, shape, s.want[step], picture)
		}
		return
	}
}

// ctx is a context that also holds while a test cleans up.
func ctx(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }
