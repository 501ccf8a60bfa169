package integration

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/containerd/images"
)

// What admission and the proxy read of containerd's image records.

func TestRecordsTellWhatCriProxyChoseAndWhatOthersDid(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, index, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	f.pull(t, repo.Ref("1"))
	other, _, _ := f.push(t, "other", variants("amd64")...)
	if _, err := f.containerd.CRI.Pull(t.Context(), other.Ref("1"), stack.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	store := images.New(f.containerd.CRI.Conn(), "k8s.io")
	want := map[string]images.Record{
		repo.Ref("1"):                {Name: repo.Ref("1"), Target: manifests[1].Digest, Index: index.Digest},
		repo.DigestRef(manifests[1]): {Name: repo.DigestRef(manifests[1]), Target: manifests[1].Digest, Index: index.Digest},
		other.Ref("1"):               {Name: other.Ref("1"), Target: f.records(t)[other.Ref("1")]},
	}
	wantRecords(t, store, want)

	// A pull behind our back moves the record and leaves the labels: they say nothing then.
	if _, err := f.containerd.CRI.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	want[repo.Ref("1")] = images.Record{Name: repo.Ref("1"), Target: index.Digest}
	wantRecords(t, store, map[string]images.Record{repo.Ref("1"): want[repo.Ref("1")]})
}

func wantRecords(t *testing.T, store *images.Store, want map[string]images.Record) {
	t.Helper()
	records, err := store.Records(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		if r.Updated.IsZero() {
			t.Errorf("the record of %s has no time", r.Name)
		}
		records[i].Updated = time.Time{}
	}
	for name, record := range want {
		if !slices.Contains(records, record) {
			t.Errorf("the record of %s is not %+v, but one of %+v", name, record, records)
		}
	}
}

// Point on the real containerd: the name resolves in CRI when it returns, a second call
// writes nothing, another choice moves the records, and a manifest that the node lacks is
// an error.
func TestPointedReferencesResolveWhenPointReturns(t *testing.T) {
	for _, version := range stack.Versions() {
		t.Run(version, func(t *testing.T) {
			if testing.Short() && version != stack.Versions()[0] {
				t.Skip("-short: one version of containerd only")
			}
			testPoint(t, startContainerd(t, stack.Options{Version: version}))
		})
	}
}

func testPoint(t *testing.T, containerd *stack.Containerd) {
	app := realRuntime{containerd, startRegistry(t)}.Push(t, "app", 2)
	store := images.New(containerd.CRI.Conn(), "k8s.io")
	choice := func(i int) images.Choice {
		return images.Choice{
			Reference: app.Name(), Index: app.Index.Digest, Manifest: app.Manifests[i], ImageID: app.IDs[i],
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := store.Point(ctx, choice(0)); err == nil {
		t.Error("a manifest that is not on the node: no error")
	}
	for i, manifest := range app.Manifests {
		if _, err := containerd.CRI.Pull(t.Context(), app.At(manifest), stack.PullOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := store.Point(t.Context(), choice(i)); err != nil {
			t.Fatal(err)
		}
		if image, err := containerd.CRI.Status(t.Context(), app.Name()); err != nil || image.GetId() != app.IDs[i] {
			t.Errorf("it is %v, %v, want %s", image, err, app.IDs[i])
		}
	}
	before := updates(t, containerd)
	if err := store.Point(t.Context(), choice(1)); err != nil {
		t.Fatal(err)
	}
	if after := updates(t, containerd); !maps.Equal(after, before) {
		t.Errorf("a second call wrote: %v, before %v", after, before)
	}
}

// updates are the times at which image records were last written.
func updates(t *testing.T, containerd *stack.Containerd) map[string]string {
	t.Helper()
	records, err := containerd.Records(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]string{}
	for _, record := range records {
		times[record.GetName()] = record.GetUpdatedAt().AsTime().String()
	}
	return times
}

func TestConfigOfAManifestIsTheImageID(t *testing.T) {
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	ref, index, manifests, _ := pushPair(t, registry)
	id, err := containerd.CRI.Pull(t.Context(), ref, stack.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	store := images.New(containerd.CRI.Conn(), "k8s.io")
	if config, err := store.ConfigOf(t.Context(), manifests[0].Digest); err != nil || config.String() != id {
		t.Errorf("%s, %v, want %s", config, err, id)
	}
	if config, err := store.ConfigOf(t.Context(), index.Digest); err != nil || config != "" {
		t.Errorf("an index has the config %q, %v", config, err)
	}
	if _, err := store.ConfigOf(t.Context(), digest.FromString("not in the store")); status.Code(err) != codes.NotFound {
		t.Errorf("of what is not there: %v, want NotFound", err)
	}
	if _, err := images.New(containerd.CRI.Conn(), "moby").ConfigOf(t.Context(), manifests[0].Digest); status.Code(err) != codes.NotFound {
		t.Errorf("of another namespace: %v, want NotFound", err)
	}
}

func TestFollowTellsOfEachPullUntilContainerdIsGone(t *testing.T) {
	containerd, registry := startContainerd(t, stack.Options{}), startRegistry(t)
	ref, _, _, repo := pushPair(t, registry)
	changes, ended := make(chan struct{}, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	store := images.New(containerd.CRI.Conn(), "k8s.io")
	go func() { ended <- store.Follow(ctx, func() { changes <- struct{}{} }) }()
	await := func(what string) {
		t.Helper()
		select {
		case <-changes:
		case err := <-ended:
			t.Fatalf("%s: ended with %v", what, err)
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: not told", what)
		}
	}
	await("the start")
	for i := range 3 { // nothing says from when on a subscription is heeded
		if _, err := repo.PushImage(t.Context(), "more", stack.Image{Variant: string(rune('a' + i))}); err != nil {
			t.Fatal(err)
		}
		for _, pulled := range []string{ref, repo.Ref("more")} {
			if _, err := containerd.CRI.Pull(t.Context(), pulled, stack.PullOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	await("pulls")
	if err := containerd.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("ended without an error")
		}
	case <-time.After(10 * time.Second):
		t.Error("still following a containerd that is gone")
	}
}
