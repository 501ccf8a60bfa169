package criproxy

import (
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"

	"github.com/imagefit/imagefit/pkg/policy"
)

// TestUnpullableVariantIsTriedAgainAfterAWhile moves the clock.
func TestUnpullableVariantIsTriedAgainAfterAWhile(t *testing.T) {
	t.Parallel()
	b := newFallbackBench(t, nil)
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	b.puller.unpullable.now = func() time.Time { return now }
	b.failing["v3"] = statusOf("403 Forbidden")
	b.wantPull(t, "v2", "v3", "v2")
	now = now.Add(retryAfter - time.Second)
	b.wantPull(t, "v2", "v2")
	r := b.last()
	if r.InsteadOf != "linux/amd64/v3" || !strings.HasSuffix(r.Reason, "403 Forbidden (not tried again before 2026-03-04T12:10:00Z)") {
		t.Errorf("record %+v", r)
	}
	now = now.Add(time.Second)
	b.wantPull(t, "v2", "v3", "v2") // it is tried and fails again
	now = now.Add(-time.Hour)
	delete(b.failing, "v3")
	b.wantPull(t, "v3", "v3") // after the clock was set back
	if r := b.last(); r.Action != policy.Pulled || r.InsteadOf != "" || strings.Contains(r.Reason, "cannot be pulled") {
		t.Errorf("record %+v", r)
	}
}

// TestUnpullableVariantIsTriedAgainAfterAReload exchanges the rules for equal ones.
func TestUnpullableVariantIsTriedAgainAfterAReload(t *testing.T) {
	t.Parallel()
	b := newFallbackBench(t, nil)
	b.failing["v3"] = statusOf("403 Forbidden")
	b.wantPull(t, "v2", "v3", "v2")
	rules := *b.decider.bench.Rules.Load()
	b.decider.bench.Rules.Store(&rules)
	b.wantPull(t, "v2", "v3", "v2")
}

// TestWhatOneClientCannotPullIsTriedForOthers has other credentials and another runtime
// handler, of which a registry's and a snapshotter's refusal says nothing.
func TestWhatOneClientCannotPullIsTriedForOthers(t *testing.T) {
	t.Parallel()
	b := newFallbackBench(t, nil)
	b.failing["v3"] = statusOf("403 Forbidden")
	b.wantPull(t, "v2", "v3", "v2")
	delete(b.failing, "v3")
	other, handler := pullRequest("default", "api"), pullRequest("default", "api")
	other.Auth.Password, handler.Image.RuntimeHandler = "other", "gvisor"
	if resp, err := b.client.PullImage(t.Context(), other); err != nil || resp.GetImageRef() != imageID("1v3") {
		t.Errorf("other credentials: pulled %v, %v", resp, err)
	}
	if resp, err := b.client.PullImage(t.Context(), handler); err != nil || resp.GetImageRef() != imageID("1v3") {
		t.Errorf("other handler: pulled %v, %v", resp, err)
	}
	b.wantPull(t, "v2", "v2")
}

func TestUnpullableVariantsAreBounded(t *testing.T) {
	t.Parallel()
	u := newUnpullable()
	for i := range 2 * maxUnpullable {
		u.put(variantKey{byte(i), byte(i >> 8)}, nil, "")
	}
	if u.lru.Len() != maxUnpullable {
		t.Errorf("%d are remembered", u.lru.Len())
	}
}

// TestVariantWhoseConfigContradictsItsEntryIsNotRun has configs for other platforms: they
// would not be unpacked, or not run.
func TestVariantWhoseConfigContradictsItsEntryIsNotRun(t *testing.T) {
	t.Parallel()
	for _, config := range []string{"linux/arm64", "windows/amd64", "linux/amd64/v4"} {
		b := newFallbackBench(t, nil)
		bad := b.registry.Image(config, "bad")
		bad.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: "v3"}
		b.entries["v3"] = bad
		b.registry.Index("1", b.entries[""], b.entries["v2"], bad)
		b.wantPull(t, "v2", "v3", "v2")
		says := "imagefit: the config is for " + config + ", but the index entry is for linux/amd64/v3"
		if r := b.last(); !strings.Contains(r.Reason, says) {
			t.Errorf("reason %q, want %q", r.Reason, says)
		}
		b.wantPull(t, "v2", "v2")

		b.registry.Index("1", bad)
		_, err := b.pull(t.Context())
		checkStatus(t, err, codes.Unknown, says)
	}
}

func TestConfigAgreesWithItsEntry(t *testing.T) {
	t.Parallel()
	platform := func(text string) ocispec.Platform {
		parts := append(strings.Split(text, "/"), "", "")
		return ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
	}
	for _, test := range []struct {
		entry, config string
		want          bool
	}{
		{"linux/amd64/v3", "linux/amd64", true}, // as most builders leave it
		{"linux/amd64/v3", "linux/amd64/v3", true},
		{"linux/amd64/v3", "linux/amd64/v2", true},
		{"linux/amd64/v2", "linux/amd64/v3", false},
		{"linux/amd64", "linux/x86_64", true},
		{"linux/amd64", "linux/386", false},
		{"linux/arm/v6", "linux/arm", true},
		{"linux/arm/v6", "linux/arm/v7", false},
		{"linux/arm64", "linux/arm64/v8", true},
		{"linux/arm64/v8", "linux/aarch64", true},
		{"linux/arm64", "linux/arm/v7", false},
		{"linux/amd64/v3", "/", true}, // not an image's config
	} {
		if got := agree(platform(test.entry), platform(test.config)); got != test.want {
			t.Errorf("an entry for %s and a config for %s: %t", test.entry, test.config, got)
		}
	}
}
