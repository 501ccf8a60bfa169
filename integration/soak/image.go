package soak

import (
	"context"
	"fmt"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// The variants of an image.
const (
	plain  = "amd64"    // has no requirements; what the runtime takes unasked
	never  = "amd64/v3" // looks best, and needs what the node never has
	better = "amd64/v2" // fits best while the node has AVX2, and does not fit otherwise
)

// user is the user of every image.
const user = 1000

// image is one tag of a tenant. Nothing of it is shared with other tenants.
type image struct {
	repo       *stack.Repo
	name, ref  string
	unfit      bool // each variant needs what the node never has
	generation int
	variants   map[string]string // of all generations so far, by image id
	current    map[string]bool   // the image ids of the tag now
	pulled     string            // what the last pull returned, "" for none
	known      bool              // it was pulled while the proxy could store what it needs,
	at         time.Time         // at this time
	doubtful   bool              // the registry did not tell what it needs
}

// move pushes a new generation of the image under its tag.
func (i *image) move(ctx context.Context) error {
	i.generation++
	var images []stack.Image
	variants := []string{plain, never, better}
	for _, variant := range variants {
		images = append(images, stack.Image{
			Variant: fmt.Sprintf("%s.%d.%s", i.name, i.generation, variant), User: fmt.Sprint(user), Platform: platformOf(variant),
		})
	}
	if i.unfit {
		variants, images = variants[:1], images[:1]
	}
	// Pushed without the tag first: who pulls meanwhile must not find the new index without its artifacts.
	_, manifests, err := i.repo.PushIndex(ctx, "next", images...)
	if err != nil {
		return err
	}
	needs := map[string]string{better: "AVX2", never: "AMXINT8"}
	if i.unfit {
		needs[plain] = "AMXINT8"
	}
	current := map[string]bool{}
	for j, manifest := range manifests {
		if feature := needs[variants[j]]; feature != "" {
			body := fmt.Sprintf(`{"compatibilities": {"nfd": {"cpu-cpuid.%s": true}}}`, feature)
			if _, err := i.repo.Attach(ctx, manifest, stack.Artifact{Body: []byte(body)}); err != nil {
				return err
			}
		}
		id, err := i.repo.Config(ctx, manifest)
		if err != nil {
			return err
		}
		i.variants[id.String()] = variants[j]
		current[id.String()] = true
	}
	i.current = current
	_, err = i.repo.PushIndexOf(ctx, tag, manifests...)
	return err
}

// tag is the one tag of each image.
const tag = "1"

func platformOf(variant string) ocispec.Platform {
	p := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	if len(variant) > len(plain) {
		p.Variant = variant[len(plain)+1:]
	}
	return p
}

// newImage pushes the first generation of an image.
func newImage(ctx context.Context, registry *stack.Registry, name string, unfit bool) (*image, error) {
	repo := registry.Repo(name)
	i := &image{repo: repo, name: name, ref: repo.Ref(tag), unfit: unfit, variants: map[string]string{}}
	return i, i.move(ctx)
}

// may says which variants a pull may give, by the trouble there was and what the node has.
func (i *image) may(during trouble, avx2 bool) []string {
	switch {
	case during&registryLies != 0: // what it needs is not known, and nothing known is against it
		return []string{plain, better, never}
	case during&factsMoving != 0:
		return []string{plain, better}
	case during&(registryPartly|registryAway|runtimeAway) != 0, !avx2:
		if avx2 {
			return []string{plain, better}
		}
		return []string{plain}
	default:
		return []string{better}
	}
}

// fits says whether a variant fits a node.
func (i *image) fits(variant string, avx2 bool) bool {
	return !i.unfit && variant != never && (variant != better || avx2)
}
