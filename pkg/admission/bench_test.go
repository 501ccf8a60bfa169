package admission

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

const (
	benchImages     = 10_000
	benchContainers = 1_000
)

// distribution returns a node of level 2 with the kernel options of a distribution.
func distribution() *facts.Facts {
	features := testkit.Node(2).Features()
	features.Attributes["kernel.config"] = map[string]string{}
	for i := range 12_000 {
		features.Attributes["kernel.config"][fmt.Sprintf("AN_OPTION_%06d", i)] = "y"
	}
	return facts.New("linux", "amd64", features)
}

// putHostile keeps an image with eight artifacts of under 1 KB each, which compare
// thousands of names with regular expressions of a thousand instructions.
func putHostile(tb testing.TB, images *decisiontest.Bench) {
	tb.Helper()
	hostile := decision.Variant{Reference: "evil.example/app:1"}
	for i := range 8 {
		patterns := strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`"(a%d.{1,9}){35}$",`, i), 10), ",")
		body := fmt.Appendf(nil, `{"version":"v1alpha1","compatibilities":[{"rules":[{"name":"x","matchFeatures":[`+
			`{"feature":"kernel.config","matchName":{"op":"InRegexp","value":[%s]}}]}]}]}`, patterns)
		layer := digest.FromBytes(body)
		if err := images.Cache.PutBlob(layer, body); err != nil {
			tb.Fatal(err)
		}
		hostile.Artifacts = append(hostile.Artifacts, referrers.Artifact{
			Type: dialect.ArtifactTypeNFD, MediaType: dialect.LayerTypeNFD, Layer: layer, Manifest: layer,
		})
	}
	if err := images.Cache.PutImage(imageIDOf("hostile"), decision.Image{Variants: []decision.Variant{hostile}}); err != nil {
		tb.Fatal(err)
	}
}

// benchPlugin returns a plugin that knows so many images, one of them hostile.
func benchPlugin(b *testing.B) *Plugin {
	b.Helper()
	images := decisiontest.New(b, distribution())
	for i := range benchImages - 1 {
		v := decision.Variant{
			Reference: fmt.Sprintf("registry.example/app%d:1", i),
			Claims:    decision.EntryClaims{Platform: json.RawMessage(fmt.Sprintf(`{"os": "linux", "architecture": "amd64", "variant": "v%d"}`, 1+i%4))},
		}
		if err := images.Cache.PutImage(imageIDOf(fmt.Sprint(i)), decision.Image{Variants: []decision.Variant{v}}); err != nil {
			b.Fatal(err)
		}
	}
	putHostile(b, images)
	start := time.Now()
	p := New(Options{Images: images, Log: slog.New(slog.DiscardHandler), Record: func(decisionlog.Record) {}})
	p.verdicts.ask("")
	p.verdicts.catchUp(b.Context())
	b.Logf("%d images evaluated in %s", p.verdicts.known.Len(), time.Since(start))
	return p
}

// report prints percentiles of what was measured.
func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(took[(len(took)-1)*percent/100].Microseconds()), fmt.Sprintf("p%d-µs", percent))
	}
}

// BenchmarkHook has 10,000 known images, and containers of any of them and of the
// hostile one in turn.
func BenchmarkHook(b *testing.B) {
	p := benchPlugin(b)
	var all []*api.Container
	for i := range benchContainers {
		name := fmt.Sprint(i * 7 % (benchImages - 1))
		all = append(all, container(name, imageName, "registry.example/app"+name+":1"))
	}
	hostile := container("hostile", imageName, "evil.example/app:1")
	for name, containers := range map[string][]*api.Container{"any": all, "hostile": {hostile}} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				_, _, _ = p.CreateContainer(b.Context(), pod("default", "api"), containers[i%len(containers)])
				took = append(took, time.Since(start))
			}
			report(b, took)
		})
	}
	b.Run("synchronize", func(b *testing.B) {
		running := slices.Concat(all[:benchContainers-1], []*api.Container{hostile})
		var took []time.Duration
		for b.Loop() {
			start := time.Now()
			if _, err := p.Synchronize(b.Context(), nil, running); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(start))
			p.found.Wait()
		}
		report(b, took)
	})
}
