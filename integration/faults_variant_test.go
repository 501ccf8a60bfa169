package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// The variants of a brokenOffer on a node of level 3, the best first. The last is what
// the runtime takes by itself.
const (
	first  = "amd64/v3"
	second = "amd64/v2"
	third  = "amd64"
)

// brokenOffer offers an image whose variants share no layer but the workload's. What is
// wrong with each is changed before it is pushed.
func (f *fit) brokenOffer(t *testing.T, name string, change func(variant string, image *stack.Image, entry *ocispec.Platform)) offer {
	t.Helper()
	o := offer{repo: f.registry.Repo(name), manifests: map[string]ocispec.Descriptor{}, ids: map[string]string{}}
	o.ref = o.repo.Ref("1")
	var entries []ocispec.Descriptor
	for _, image := range variants(third, second, first) {
		variant, entry := image.Variant, image.Platform
		image.Variant, image.OwnLayer = name+" "+variant, true
		if change != nil {
			change(variant, &image, &entry)
		}
		manifest, err := o.repo.PushImage(t.Context(), "", image)
		if err != nil {
			t.Fatal(err)
		}
		id, err := o.repo.Config(t.Context(), manifest)
		if err != nil {
			t.Fatal(err)
		}
		manifest.Platform = &entry
		entries = append(entries, manifest)
		o.manifests[variant], o.ids[id.String()] = manifest, variant
	}
	var err error
	if o.index, err = o.repo.PushIndexOf(t.Context(), "1", entries...); err != nil {
		t.Fatal(err)
	}
	return o
}

// broken is something that keeps the best variants of an image from being had.
type broken struct {
	image  func(variant string, image *stack.Image, entry *ocispec.Platform)
	faults func(t *testing.T, o offer) []stack.Fault
	want   string // what is pulled
	says   string // a part of the reason
}

// denied answers a status for the manifests of some variants.
func denied(status int, says, want string, of ...string) broken {
	return broken{want: want, says: says, faults: func(_ *testing.T, o offer) (faults []stack.Fault) {
		for _, variant := range of {
			faults = append(faults, stack.Fault{Path: "/manifests/" + o.manifests[variant].Digest.String(), Status: status})
		}
		return faults
	}}
}

// layer makes something be wrong with the layer that only the best variant has.
func layer(fault stack.Fault, says string) broken {
	return broken{want: second, says: says, faults: func(t *testing.T, o offer) []stack.Fault {
		t.Helper()
		m, err := o.repo.Manifest(t.Context(), o.manifests[first])
		if err != nil {
			t.Fatal(err)
		}
		fault.Path = "/blobs/" + m.Layers[len(m.Layers)-1].Digest.String()
		return []stack.Fault{fault}
	}}
}

// layerType gives that layer a type that containerd does not unpack.
func layerType(mediaType, says string) broken {
	return broken{want: second, says: says, image: func(variant string, image *stack.Image, _ *ocispec.Platform) {
		if variant == first {
			image.OwnLayerType = mediaType
		}
	}}
}

// platform makes the config of the best variant name a platform of its own.
func platform(p ocispec.Platform, says string) broken {
	return broken{want: second, says: says, image: func(variant string, image *stack.Image, _ *ocispec.Platform) {
		if variant == first {
			image.Platform = p
		}
	}}
}

func brokenVariants() map[string]broken {
	return map[string]broken{
		"401":                 denied(http.StatusUnauthorized, "401 Unauthorized", second, first),
		"403":                 denied(http.StatusForbidden, "403 Forbidden", second, first),
		"404":                 denied(http.StatusNotFound, "not found", second, first),
		"412":                 denied(http.StatusPreconditionFailed, "412 Precondition Failed", second, first),
		"424":                 denied(http.StatusFailedDependency, "424 Failed Dependency", second, first),
		"429":                 denied(http.StatusTooManyRequests, "429 Too Many Requests", second, first),
		"451":                 denied(http.StatusUnavailableForLegalReasons, "451 Unavailable For Legal Reasons", second, first),
		"500":                 denied(http.StatusInternalServerError, "500 Internal Server Error", second, first),
		"503":                 denied(http.StatusServiceUnavailable, "503 Service Unavailable", second, first),
		"403-for-both":        denied(http.StatusForbidden, "linux/amd64/v2 cannot be pulled", third, first, second),
		"a-missing-blob":      layer(stack.Fault{Status: http.StatusNotFound}, "not found"),
		"a-denied-blob":       layer(stack.Fault{Status: http.StatusForbidden}, "403 Forbidden"),
		"a-failing-blob":      layer(stack.Fault{Status: http.StatusBadGateway}, "502 Bad Gateway"),
		"a-damaged-blob":      layer(stack.Fault{Corrupt: true}, "digest"),
		"an-encrypted-layer":  layerType("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "ctd-decoder"),
		"an-erofs-layer":      layerType("application/vnd.erofs.layer.v1", "media"),
		"unknown-compression": layerType("application/vnd.oci.image.layer.v1.tar+lzma", ""),
		"another-arch":        platform(ocispec.Platform{OS: "linux", Architecture: "arm64"}, "the config is for linux/arm64"),
		"another-os":          platform(ocispec.Platform{OS: "windows", Architecture: "amd64"}, "the config is for windows/amd64"),
		"a-higher-level":      platform(ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: "v4"}, "the config is for linux/amd64/v4"),
	}
}

// TestNextVariantIsPulledWhereTheBestCannotBeHad: containerd alone never asks for the best
// variant, so with imagefit the pod must start as well, and with the variant that fits next.
func TestNextVariantIsPulledWhereTheBestCannotBeHad(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	for name, tt := range brokenVariants() {
		t.Run(name, func(t *testing.T) {
			o, alone := f.brokenOffer(t, name, tt.image), f.brokenOffer(t, "alone/"+name, tt.image)
			for _, o := range []offer{o, alone} {
				if tt.faults == nil {
					continue
				}
				for _, fault := range tt.faults(t, o) {
					t.Cleanup(f.registry.Inject(fault))
				}
			}
			id, err := f.containerd.CRI.Pull(t.Context(), alone.ref, stack.PullOptions{})
			if err != nil || alone.ids[id] != third {
				t.Fatalf("without imagefit: %s, %v", alone.ids[id], err)
			}
			f.wantFallback(t, o, tt)
			f.registry.Forget()
			f.wantFallback(t, o, tt)
			for _, variant := range []string{first, second} {
				if asked := f.registry.Count("", "/manifests/"+o.manifests[variant].Digest.String()); asked > 0 && variant != tt.want {
					t.Errorf("the next pull asked %d times for %s, which could not be pulled a moment ago", asked, variant)
				}
			}
		})
	}
}

// wantFallback pulls what is broken and checks what that leaves.
func (f *fit) wantFallback(t *testing.T, o offer, tt broken) {
	t.Helper()
	start := time.Now()
	id, err := f.cri.Pull(t.Context(), o.ref, stack.PullOptions{})
	if err != nil || o.ids[id] != tt.want {
		t.Fatalf("pulled %q, %v, want %s", o.ids[id], err, tt.want)
	}
	t.Logf("pulled %s after %s", tt.want, time.Since(start).Round(time.Millisecond))
	wantID(t, f.cri, id, o.ref)
	f.wantRuns(t, o.ref, id, strings.TrimSuffix(strings.TrimPrefix(o.ref, f.registry.Host+"/"), ":1")+" "+tt.want)
	action := policy.Pulled
	if tt.want == third {
		action = policy.Forwarded
	}
	r := f.lastRecord(t)
	if r.Action != action || r.Choice != "linux/"+tt.want || r.InsteadOf != "linux/"+first || r.Image != id || r.Error != "" ||
		!strings.Contains(r.Reason, "linux/"+first+" cannot be pulled: ") || !strings.Contains(r.Reason, tt.says) || len(r.Reason) > 1024 {
		t.Errorf("record %+v", r)
	}
}

// lastRecord is the last record of the decision log.
func (f *fit) lastRecord(t *testing.T) (r decisionlog.Record) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.StateDir, "decisions.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBestVariantIsPulledAgainAfterAReload: what could not be pulled is not tried for a
// while, unless the operator says that it is time.
func TestBestVariantIsPulledAgainAfterAReload(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	w := watch(f)
	o := f.brokenOffer(t, "app", nil)
	heal := f.registry.Inject(stack.Fault{Path: "/manifests/" + o.manifests[first].Digest.String(), Status: http.StatusForbidden})
	w.wantVariant(t, o, second)
	heal()
	w.wantVariant(t, o, second)
	if r := f.lastRecord(t); !strings.Contains(r.Reason, " (not tried again before ") {
		t.Errorf("reason %q", r.Reason)
	}
	if err := f.Proxy.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(f.proxyLog(t), "configuration reloaded"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the configuration was not reloaded")
		}
	}
	w.wantVariant(t, o, first)
}

// TestPullFailsInContainerdsWordsWhereNoVariantCanBeHad compares with a pull past the proxy.
func TestPullFailsInContainerdsWordsWhereNoVariantCanBeHad(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	w := watch(f)
	for name, fault := range map[string]stack.Fault{
		"403": {Status: http.StatusForbidden}, "429": {Status: http.StatusTooManyRequests}, "500": {Status: http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			o := f.brokenOffer(t, "none/"+name, nil)
			fault.Path = "/none/" + name + "/(manifests/sha256:|blobs/)"
			heal := f.registry.Inject(fault)
			_, got := f.cri.Pull(t.Context(), o.ref, stack.PullOptions{})
			_, want := f.containerd.CRI.Pull(t.Context(), o.ref, stack.PullOptions{})
			if got == nil || want == nil || got.Error() != want.Error() {
				t.Errorf("got  %v\nwant %v, as without the proxy", got, want)
			}
			if r := f.lastRecord(t); r.Action != policy.Failed || r.Choice != "linux/"+first || r.InsteadOf != "" {
				t.Errorf("record %+v", r)
			}
			heal()
			w.wantVariant(t, o, first) // nothing was the variants' fault
		})
	}
}
