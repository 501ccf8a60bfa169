package decision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Image is what is kept under an image id, for admission. Several manifests may
// share a config, and so an image id: an image compressed in two ways, say.
type Image struct {
	Variants []Variant `json:"variants"` // the latest first
}

// Variant is one manifest of an image id, as one repository has it.
type Variant struct {
	Reference string               `json:"reference"`
	Manifest  digest.Digest        `json:"manifest"`
	Claims    EntryClaims          `json:"said"`
	Artifacts []referrers.Artifact `json:"artifacts,omitempty"`
}

// maxVariants is how many manifests of one image id are kept.
const maxVariants = 8

// Remember keeps what is known of candidate i of the decision under the image
// id that the runtime gave it.
func (e *Evaluator) Remember(imageID string, d *Decision, i int) error {
	if i < 0 || i >= len(d.Candidates) {
		return fmt.Errorf("remember image %s: the decision has no candidate %d", imageID, i)
	}
	c := d.Candidates[i]
	var earlier Image
	if err := e.cache.Image(imageID, &earlier); err != nil {
		earlier = Image{} // the first time, or damaged
	}
	variants := []Variant{{
		Reference: d.Reference, Manifest: c.Digest, Claims: c.claims, Artifacts: c.Artifacts,
	}}
	for _, v := range earlier.Variants {
		again := v.Manifest == c.Digest && RepositoryOf(v.Reference) == d.Repository
		if !again && len(variants) < maxVariants {
			variants = append(variants, v)
		}
	}
	before, errBefore := json.Marshal(earlier.Variants)
	after, errAfter := json.Marshal(variants)
	if errBefore == nil && errAfter == nil && bytes.Equal(before, after) {
		return nil // a pull of what is known writes nothing
	}
	return e.cache.PutImage(imageID, Image{Variants: variants})
}

// Knows reports whether anything is kept of an image as a repository has it.
func (e *Evaluator) Knows(imageID, repository string) bool {
	var img Image
	return e.cache.Image(imageID, &img) == nil && len(img.of(repository)) > 0
}

// of returns the variants of a repository.
func (img Image) of(repository string) []Variant {
	return slices.DeleteFunc(slices.Clone(img.Variants), func(v Variant) bool {
		return RepositoryOf(v.Reference) != repository
	})
}

// Recall returns what is kept under an image id, and its verdict by the snapshot.
// Where it is known by which references a container may have come, only what is
// attached in their repositories applies, and each of them must be known: what one
// tenant attaches to a copy must not keep others from running the image. Which of
// several manifests a container came from cannot be told, so the one that fits best
// applies. The error is cache.ErrMiss for an image that was not decided about.
func (e *Evaluator) Recall(s Snapshot, imageID string, references ...string) (Variant, selector.Verdict, error) {
	var img Image
	if err := e.cache.Image(imageID, &img); err != nil {
		return Variant{}, selector.Verdict{}, err
	}
	variants := img.Variants
	if repositories := repositoriesOf(references); len(repositories) > 0 {
		variants = nil
		for _, repository := range repositories {
			known := img.of(repository)
			if len(known) == 0 {
				return Variant{}, selector.Verdict{}, fmt.Errorf("look up image %s of %s: %w", Line(imageID), repository, cache.ErrMiss)
			}
			variants = append(variants, known...)
		}
	}
	if len(variants) == 0 {
		return Variant{}, selector.Verdict{}, fmt.Errorf("look up image %s: its record has no manifest: %w", Line(imageID), cache.ErrMiss)
	}
	rank := map[selector.Outcome]int{selector.Fits: 2, selector.Unknown: 1}
	best, verdicts := 0, make([]selector.Verdict, len(variants))
	for i, v := range variants {
		verdicts[i] = e.newEvaluation(s, RepositoryOf(v.Reference)).verdict(v.Claims, v.Artifacts)
		if rank[verdicts[i].Outcome] > rank[verdicts[best].Outcome] {
			best = i
		}
	}
	return variants[best], verdicts[best], nil
}

// repositoriesOf lists the repositories of the references, each once.
func repositoriesOf(references []string) []string {
	var repositories []string
	for _, ref := range references {
		repository := RepositoryOf(ref)
		if repository != "" && !IsImageID(ref) && !slices.Contains(repositories, repository) {
			repositories = append(repositories, repository)
		}
	}
	return repositories
}

// IsImageID tells a reference that is an image id, with which a pod may ask for
// what is on the node under any name. The runtime takes the beginning of one, too.
func IsImageID(ref string) bool {
	hex, named := strings.CutPrefix(ref, "sha256:")
	return digest.NewDigestFromEncoded(digest.SHA256, hex).Validate() == nil ||
		named && hex != "" && strings.Trim(hex, "0123456789abcdef") == ""
}
