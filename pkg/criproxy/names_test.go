package criproxy

import (
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/names"
)

// indexOf is the digest of what the tag 1 is now.
func (b *pullBench) indexOf(t *testing.T) digest.Digest {
	t.Helper()
	body, _ := b.registry.In("app").Content("1")
	return digest.FromBytes(body)
}

// pullRef pulls a reference through the proxy.
func (b *pullBench) pullRef(t *testing.T, ref string) string {
	t.Helper()
	resp, err := b.client.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetImageRef()
}

// direct is a client of the runtime itself.
func (b *pullBench) direct() runtimeapi.ImageServiceClient {
	return runtimeapi.NewImageServiceClient(b.runtime.Conn())
}

// wantTrueRecords checks that no record with a digest in its name has another target.
func (b *pullBench) wantTrueRecords(t *testing.T) {
	t.Helper()
	records, err := b.names.Records.Records(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if _, name, ok := strings.Cut(r.Name, "@"); ok && name != r.Target.String() {
			t.Errorf("the record %s has the target %s", r.Name, r.Target)
		}
	}
}

// list is what a client lists, in lines of id, tags and digests.
func list(t *testing.T, client runtimeapi.ImageServiceClient) []string {
	t.Helper()
	resp, err := client.ListImages(t.Context(), &runtimeapi.ListImagesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	listed := linesOf(resp.GetImages())
	stream, err := client.StreamImages(t.Context(), &runtimeapi.StreamImagesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var streamed []*runtimeapi.Image
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		streamed = append(streamed, part.GetImages()...)
	}
	if got := linesOf(streamed); !slices.Equal(got, listed) {
		t.Errorf("streamed %q, listed %q", got, listed)
	}
	return listed
}

func linesOf(images []*runtimeapi.Image) []string {
	var all []string
	for _, image := range images {
		all = append(all, line(image))
	}
	slices.Sort(all)
	return all
}

func line(image *runtimeapi.Image) string {
	tags, digests := slices.Sorted(slices.Values(image.GetRepoTags())), slices.Sorted(slices.Values(image.GetRepoDigests()))
	return strings.Join(slices.Concat([]string{image.GetId()}, tags, digests), " ")
}

func (b *pullBench) wantList(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := list(t, b.client); !slices.Equal(got, want) {
		t.Errorf("listed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// keepers runs a test with the runtime as the keeper of tags, and with the proxy.
func keepers(t *testing.T, test func(t *testing.T, b *pullBench, byProxy bool)) {
	t.Helper()
	for name, byProxy := range map[string]bool{"runtime": false, "proxy": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, 3, nil)
			b.setKeeper(byProxy)
			test(t, b, byProxy)
		})
	}
}

func (b *pullBench) setKeeper(byProxy bool) {
	b.byProxy.Store(byProxy)
	b.names.decide()
}

// TestEveryNameResolvesAndNoRecordIsUntrue pulls by all spellings.
func TestEveryNameResolvesAndNoRecordIsUntrue(t *testing.T) {
	t.Parallel()
	keepers(t, func(t *testing.T, b *pullBench, byProxy bool) {
		index, id := b.indexOf(t).String(), imageID("1v3")
		byIndex := appRepo + "@" + index
		for _, test := range []struct {
			ref      string
			resolves []string
			listed   string
		}{
			{byIndex, []string{byIndex, appTag + "@" + index}, id + " " + byIndex},
			{appTag + "@" + index, []string{byIndex, appTag + "@" + index}, id + " " + byIndex},
			{appTag, []string{appTag, byIndex, appTag + "@" + index}, id + " " + appTag + " " + byIndex},
		} {
			if got := b.pullRef(t, test.ref); got != id {
				t.Fatalf("pulled %s", got)
			}
			for _, ref := range append(test.resolves, id) {
				if got := b.status(t, ref); got != id {
					t.Errorf("after %s: %s resolves to %q", test.ref, ref, got)
				}
			}
			b.wantTrueRecords(t)
			b.wantList(t, test.listed)
			image, err := b.client.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: test.ref}})
			if err != nil || line(image.GetImage()) != test.listed {
				t.Errorf("status %q, %v", line(image.GetImage()), err)
			}
		}
		if tagged := b.runtime.Record(appTag) != nil; tagged == byProxy {
			t.Errorf("the runtime has a record of the tag: %t", tagged)
		}
		if _, err := b.client.RemoveImage(t.Context(), &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: byIndex}}); err != nil {
			t.Fatal(err)
		}
		b.wantList(t)
		if b.status(t, appTag) != "" || b.status(t, byIndex) != "" || b.names.Keeper.Len() != 0 {
			t.Errorf("names are left: %v", b.names.Keeper.All())
		}
	})
}

// TestDigestOfTheManifestIsShownWhereItWasAskedFor pulls the variant by its own digest
// beside the index.
func TestDigestOfTheManifestIsShownWhereItWasAskedFor(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	entries := b.registry.index("1", "", "v3")
	byManifest, byIndex := appRepo+"@"+entries[1].Digest.String(), appRepo+"@"+b.indexOf(t).String()
	b.pullRef(t, byManifest)
	b.wantList(t, imageID("1v3")+" "+byManifest)
	b.pullRef(t, byIndex)
	b.wantList(t, imageID("1v3")+" "+byIndex)
	b.pullRef(t, byManifest)
	want := []string{byIndex, byManifest}
	slices.Sort(want)
	b.wantList(t, imageID("1v3")+" "+strings.Join(want, " "))
	if got := b.status(t, byManifest); got != imageID("1v3") {
		t.Errorf("it resolves to %q", got)
	}
}

// TestImageThatWasThereBeforeKeepsAName pulls by the runtime alone first.
func TestImageThatWasThereBeforeKeepsAName(t *testing.T) {
	t.Parallel()
	keepers(t, func(t *testing.T, b *pullBench, byProxy bool) {
		entries := b.registry.index("1", "", "v3")
		b.takes(entries[0].Digest)
		if _, err := b.direct().PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: appTag}}); err != nil {
			t.Fatal(err)
		}
		byIndex, byPlain := appRepo+"@"+b.indexOf(t).String(), appRepo+"@"+entries[0].Digest.String()
		b.wantList(t, imageID("1")+" "+appTag+" "+byIndex)
		b.pullRef(t, appTag)
		b.wantList(t, imageID("1v3")+" "+appTag+" "+byIndex, imageID("1")+" "+byPlain)
		for ref, want := range map[string]string{appTag: imageID("1v3"), byIndex: imageID("1v3"), byPlain: imageID("1")} {
			if got := b.status(t, ref); got != want {
				t.Errorf("%s resolves to %q", ref, got)
			}
		}
		b.wantTrueRecords(t)
		// What others read: the index, or our choice where only this node reads it.
		want := entries[1].Digest
		if byProxy {
			want = b.indexOf(t)
		}
		if got := b.runtime.Record(appTag).GetTarget().GetDigest(); got != want.String() {
			t.Errorf("the record of the tag has the target %s, want %s", got, want)
		}
	})
}

// TestOutdatedRecordOfATagIsRemoved moves the tag: peers would be served what it was.
func TestOutdatedRecordOfATagIsRemoved(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.setKeeper(true)
	if _, err := b.direct().PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: appTag}}); err != nil {
		t.Fatal(err)
	}
	b.registry.index("1", "v2", "v3") // and another image of the same tag
	b.pullRef(t, appTag)
	if record := b.runtime.Record(appTag); record != nil {
		t.Errorf("the record has the target %s", record.GetTarget().GetDigest())
	}
	if got := b.status(t, appTag); got != imageID("1v3") {
		t.Errorf("the tag resolves to %q", got)
	}
}

// TestNamesMoveBetweenTheirKeepers changes the keeper on a node with images, and back.
func TestNamesMoveBetweenTheirKeepers(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.runtime.Delay = 0
	b.pullRef(t, appTag)
	byIndex := appRepo + "@" + b.indexOf(t).String()
	for _, byProxy := range []bool{true, false, true, false} {
		b.setKeeper(byProxy)
		for range 2 {
			if err := b.names.settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.wantList(t, imageID("1v3")+" "+appTag+" "+byIndex)
			if record := b.runtime.Record(appTag); (record != nil) == byProxy {
				t.Errorf("kept by the proxy: %t, the record is %v", byProxy, record)
			}
			b.wantTrueRecords(t)
		}
	}
}

// TestNamesOutliveTheProxy starts another one over the same runtime.
func TestNamesOutliveTheProxy(t *testing.T) {
	t.Parallel()
	keepers(t, func(t *testing.T, b *pullBench, _ bool) {
		b.pullRef(t, appTag)
		b.names.Keeper = names.NewKeeper(images.Names{Store: b.names.Records.(*images.Store)})
		b.wantList(t, imageID("1v3")+" "+appTag+" "+appRepo+"@"+b.indexOf(t).String())
	})
}

// TestNamesAreGoneWithTheirImage removes the image without the proxy.
func TestNamesAreGoneWithTheirImage(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(*testing.T, *pullBench){
		"status": func(t *testing.T, b *pullBench) {
			if got := b.status(t, appTag); got != "" {
				t.Errorf("status %q", got)
			}
		},
		"list": func(t *testing.T, b *pullBench) { b.wantList(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keepers(t, func(t *testing.T, b *pullBench, _ bool) {
				id := b.pullRef(t, appTag)
				if _, err := b.direct().RemoveImage(t.Context(), &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: id}}); err != nil {
					t.Fatal(err)
				}
				look(t, b)
				if name == "list" && b.names.Keeper.Len() != 0 {
					t.Errorf("names are left: %v", b.names.Keeper.All())
				}
				b.pullRef(t, appTag)
				if got := b.status(t, appTag); got != id {
					t.Errorf("after another pull the status is %q", got)
				}
			})
		})
	}
}

// TestNamesOfAnImageThatWasPulledAgainAreWrittenAgain removes the image without the proxy
// and pulls it as a pod does that always pulls, which looks nothing up before.
func TestNamesOfAnImageThatWasPulledAgainAreWrittenAgain(t *testing.T) {
	t.Parallel()
	keepers(t, func(t *testing.T, b *pullBench, _ bool) {
		id := b.pullRef(t, appTag)
		if _, err := b.direct().RemoveImage(t.Context(), &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: id}}); err != nil {
			t.Fatal(err)
		}
		b.pullRef(t, appTag)
		b.names.Keeper = names.NewKeeper(images.Names{Store: b.names.Records.(*images.Store)}) // as after a restart
		b.wantList(t, id+" "+appTag+" "+appRepo+"@"+b.indexOf(t).String())
	})
}

// TestForwardedPullTakesTheNameBack has the rules change between two pulls.
func TestForwardedPullTakesTheNameBack(t *testing.T) {
	t.Parallel()
	keepers(t, func(t *testing.T, b *pullBench, _ bool) {
		b.pullRef(t, appTag)
		b.decider.bench.Change(func(r *decision.Rules) { audit(r) })
		b.pullRef(t, appTag)
		byIndex := appRepo + "@" + b.indexOf(t).String()
		for _, ref := range []string{appTag, byIndex} {
			if got := b.status(t, ref); got != imageID("1") {
				t.Errorf("%s resolves to %q, want what the runtime pulled", ref, got)
			}
		}
	})
}

// TestNameThatCannotBeKeptIsNotAnsweredWith fails the write of the name: the pull goes on
// as it came.
func TestNameThatCannotBeKeptIsNotAnsweredWith(t *testing.T) {
	t.Parallel()
	keepers(t, func(t *testing.T, b *pullBench, _ bool) {
		b.runtime.Before = func(_ context.Context, method, _ string) error {
			if method == "update" {
				return status.Error(codes.ResourceExhausted, "disk full")
			}
			return nil
		}
		if got := b.pullRef(t, appTag); got != imageID("1") || b.status(t, appTag) != got {
			t.Errorf("pulled %q, the status is %q", got, b.status(t, appTag))
		}
		b.wantTrueRecords(t)
	})
}

// TestListOfANameThatTheProxyKeepsIsOfItsImage filters.
func TestListOfANameThatTheProxyKeepsIsOfItsImage(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	b.setKeeper(true)
	b.pullRef(t, appTag)
	n := b.names.Keeper.Len()
	if _, err := b.client.ListImages(t.Context(), &runtimeapi.ListImagesRequest{Filter: &runtimeapi.ImageFilter{Image: &runtimeapi.ImageSpec{Image: "other"}}}); err != nil {
		t.Fatal(err)
	}
	if b.names.Keeper.Len() != n {
		t.Error("a list of one image made the names of others be forgotten")
	}
}

// TestCallsWithoutNamesAreForwardedByteForByte has a field of the future.
func TestCallsWithoutNamesAreForwardedByteForByte(t *testing.T) {
	t.Parallel()
	b := newPullBench(t, 3, nil)
	req := &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: "none"}, Verbose: true}
	req.ProtoReflect().SetUnknown(unknownField())
	direct, err := b.direct().ImageStatus(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	through, err := b.client.ImageStatus(t.Context(), req)
	if err != nil || !reflect.DeepEqual(direct.String(), through.String()) {
		t.Errorf("%v, %v, want %v", through, err, direct)
	}
}

// TestVariantOnTheNodeIsUsedWhereItCannotBePulledAgain pulls twice. The second time the
// registry has the index and not the variant, or denies it.
func TestVariantOnTheNodeIsUsedWhereItCannotBePulledAgain(t *testing.T) {
	t.Parallel()
	for cause, want := range map[string]string{
		"failed to resolve reference: not found":                                                           imageID("1v3"),
		"failed to do request: dial tcp 192.0.2.1:443: connect: no route":                                  imageID("1v3"),
		"unexpected status from HEAD request to https://r/v2/: 503":                                        imageID("1v3"),
		"unexpected status from HEAD request to https://r/v2/: 403 Forbidden":                              imageID("1"),
		"pull access denied, repository does not exist":                                                    imageID("1"),
		"image verifier cosign blocked pull of app with digest sha256:a for reason: unsigned":              imageID("1"),
		"SignatureValidationFailed: unable to pull image: Source image rejected: A signature was required": imageID("1"),
		"Running image docker://registry.example/app:1 is rejected by policy.":                             imageID("1"),
		"failed to authorize: failed to fetch oauth token: 401 Unauthorized":                               imageID("1"),
		"authorization failed: no basic auth credentials: insufficient_scope: x":                           imageID("1"),
	} {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			keepers(t, func(t *testing.T, b *pullBench, _ bool) {
				for _, want := range []string{imageID("1v3"), want} {
					if got := b.pullRef(t, appTag); got != want || b.status(t, appTag) != want {
						t.Errorf("pulled %q, the status is %q, want %q", got, b.status(t, appTag), want)
					}
					b.runtime.OnPull = func(_ context.Context, ref string) error {
						if strings.Contains(ref, "@") {
							return status.Errorf(codes.Unknown, "failed to pull and unpack image %q: %s", ref, cause)
						}
						return nil
					}
				}
			})
		})
	}
}

// TestShortNameIsLeftToARuntimeThatResolvesItByItself: CRI-O may know app:1 as an image of
// another registry than docker.io.
func TestShortNameIsLeftToARuntimeThatResolvesItByItself(t *testing.T) {
	t.Parallel()
	for runtime, byItself := range map[string]bool{"containerd": false, "cri-o": true} {
		t.Run(runtime, func(t *testing.T) {
			t.Parallel()
			b := newPullBench(t, 3, nil)
			b.setKeeper(true)
			b.names.Untags = func() bool { return byItself }
			const long, short = "docker.io/library/app:1", "app:1"
			kept := b.pullRef(t, appTag)
			name, _ := b.names.Keeper.Get(appTag)
			name.Reference = long
			if err := b.names.Keeper.Keep(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			b.registry.index("2", "")
			b.takes(b.registry.image("2").Digest)
			other := b.pullRef(t, appRepo+":2")
			b.runtime.Delay = 0
			b.runtime.Write(&imagesapi.Image{Name: short, Target: b.runtime.Record(other).GetTarget()})
			want := map[bool]string{false: kept, true: other}[byItself]
			if got := b.status(t, short); got != want {
				t.Errorf("%s resolves to %q, want %q", short, got, want)
			}
			b.names.Forwarded(t.Context(), short, nil, other)
			want = map[bool]string{false: "", true: kept}[byItself]
			if got := b.status(t, long); got != want {
				t.Errorf("%s resolves to %q, want %q", long, got, want)
			}
		})
	}
}

// TestNameStaysWhereAForwardedPullGaveItToNoImage has the tag moved between the decision and
// the pull: the runtime does not have the index that was decided about.
func TestNameStaysWhereAForwardedPullGaveItToNoImage(t *testing.T) {
	t.Parallel()
	keepers(t, func(t *testing.T, b *pullBench, _ bool) {
		byIndex := appRepo + "@" + b.indexOf(t).String()
		id := b.pullRef(t, byIndex)
		decided := &decision.Decision{Repository: appRepo, Index: b.indexOf(t)}
		b.registry.index("2", "")
		b.takes(b.registry.image("2").Digest)
		b.names.Forwarded(t.Context(), appTag, decided, b.pullRef(t, appRepo+":2"))
		if got := b.status(t, byIndex); got != id {
			t.Errorf("it resolves to %q", got)
		}
	})
}
