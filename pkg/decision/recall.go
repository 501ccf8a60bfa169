package decision

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/index"
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
	// Ignored counts what no trusted key signed and was left out for that.
	Ignored int `json:"ignored,omitempty"`
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
	bodies, err := e.cache.ImageWithBodies(imageID, &earlier)
	if err != nil {
		earlier = Image{} // the first time, or damaged
	}
	variants := []Variant{{
		Reference: d.Reference, Manifest: c.Digest, Claims: c.claims, Artifacts: c.Artifacts, Ignored: len(c.Ignored),
	}}
	for _, v := range earlier.Variants {
		again := v.Manifest == c.Digest && RepositoryOf(v.Reference) == d.Repository
		if !again && len(variants) < maxVariants {
			variants = append(variants, v)
		}
	}
	before, errBefore := json.Marshal(earlier.Variants)
	after, errAfter := json.Marshal(variants)
	img := Image{Variants: variants}
	isKept := func(d digest.Digest) bool { _, ok := bodies[d]; return ok }
	if errBefore == nil && errAfter == nil && bytes.Equal(before, after) && all(img.bodies(), isKept) {
		return nil // a pull of what is known writes nothing
	}
	return e.cache.PutImageOf(d.Repository, imageID, img, img.bodies()...)
}

// bodies are those of the artifacts, the latest first.
func (img Image) bodies() []digest.Digest {
	var all []digest.Digest
	for _, v := range img.Variants {
		for _, a := range v.Artifacts {
			if a.Layer != "" && !slices.Contains(all, a.Layer) {
				all = append(all, a.Layer)
			}
		}
	}
	return all
}

// setBodies gives the artifacts those bodies that are kept with the image; of others the
// cache has them.
func (img Image) setBodies(bodies cache.Bodies) {
	for _, v := range img.Variants {
		for i := range v.Artifacts {
			v.Artifacts[i].Body = bodies[v.Artifacts[i].Layer]
		}
	}
}

func all[T any](list []T, holds func(T) bool) bool {
	return !slices.ContainsFunc(list, func(one T) bool { return !holds(one) })
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

// Recalled is the verdict on what is kept under an image id.
type Recalled struct {
	Variants []RecalledVariant // the latest first; never none
	Sets     []string          // of facts on which the verdicts rest
	Steps    int               // that they took

	withoutNVIDIA []RecalledVariant // without NVIDIA's variables, nil where nothing has them
}

// RecalledVariant is the verdict on one manifest of an image id, as one repository has
// it.
type RecalledVariant struct {
	Reference  string
	Repository string
	Manifest   digest.Digest
	Outcome    selector.Outcome
	Cases      []policy.Case // in which the policy had to answer
	Ignored    int           // statements that no trusted key signed
	SignedBy   []string      // keys that signed the others
	needs      string        // what does not fit, in words
}

// Recall evaluates what is kept under an image id by the snapshot. The error is
// cache.ErrMiss for an image that was not decided about.
func (e *Evaluator) Recall(s Snapshot, imageID string) (Recalled, error) {
	var img Image
	bodies, err := e.cache.ImageWithBodies(imageID, &img)
	if err != nil {
		return Recalled{}, err
	}
	img.setBodies(bodies)
	if len(img.Variants) == 0 {
		return Recalled{}, fmt.Errorf("look up image %s: its record has no manifest: %w", Line(imageID), cache.ErrMiss)
	}
	r := Recalled{Variants: make([]RecalledVariant, 0, len(img.Variants))}
	sets := map[string]bool{}
	left := selector.MaxPullSteps
	evaluate := func(v Variant) RecalledVariant {
		ev := e.newEvaluation(s, RepositoryOf(v.Reference))
		ev.left, ev.sets = left, sets
		counts, doubted := ev.believed(v.Artifacts)
		ignored := v.Ignored + len(doubted)
		found, _ := ev.candidate(context.Background(), v.Reference, v.Manifest, v.Claims, counts)
		verdict := found.verdict
		left = ev.left
		return RecalledVariant{
			Reference: v.Reference, Repository: RepositoryOf(v.Reference), Manifest: v.Manifest,
			Outcome: verdict.Outcome, Cases: ev.cases(ignored), Ignored: ignored, SignedBy: signersOf(counts), needs: v.needs(verdict),
		}
	}
	hasNVIDIA := false
	for _, v := range img.Variants {
		r.Variants = append(r.Variants, evaluate(v))
		hasNVIDIA = hasNVIDIA || len(v.Claims.Environment) > 0
	}
	if hasNVIDIA {
		for i, v := range img.Variants {
			without := r.Variants[i]
			if len(v.Claims.Environment) > 0 {
				v.Claims.Environment = nil
				without = evaluate(v)
			}
			r.withoutNVIDIA = append(r.withoutNVIDIA, without)
		}
	}
	r.Sets, r.Steps = slices.Sorted(maps.Keys(sets)), selector.MaxPullSteps-left
	return r, nil
}

// WithoutNVIDIA returns the verdict for a container that turns the check of NVIDIA's
// variables off.
func (r Recalled) WithoutNVIDIA() Recalled {
	if r.withoutNVIDIA != nil {
		r.Variants = r.withoutNVIDIA
	}
	return r
}

// Of returns the variant that applies to a container. Where it is known by which
// references the container may have come, only what is attached in their repositories
// applies, and each of them must be known: what one tenant attaches to a copy must not
// keep others from running the image. Then ok is false. Which of several manifests a
// container came from cannot be told, so the one that fits best applies.
func (r Recalled) Of(references ...string) (v RecalledVariant, ok bool) {
	repositories := repositoriesOf(references)
	if len(repositories) == 0 {
		return r.Best(), true
	}
	var known []RecalledVariant
	for _, repository := range repositories {
		before := len(known)
		for _, v := range r.Variants {
			if v.Repository == repository {
				known = append(known, v)
			}
		}
		if len(known) == before {
			return RecalledVariant{}, false
		}
	}
	return Recalled{Variants: known}.Best(), true
}

// Best returns the variant that fits best, whatever its repository.
func (r Recalled) Best() RecalledVariant {
	rank := map[selector.Outcome]int{selector.Fits: 2, selector.Unknown: 1}
	best := r.Variants[0]
	for _, v := range r.Variants[1:] {
		if rank[v.Outcome] > rank[best.Outcome] {
			best = v
		}
	}
	return best
}

// Refusal says why the image does not fit, under the reference that was asked for.
func (v RecalledVariant) Refusal(reference string) string {
	return Line(fmt.Sprintf("%s does not fit this node: %s", reference, v.needs))
}

// needs says what does not fit.
func (v Variant) needs(verdict selector.Verdict) string {
	if verdict.Outcome != selector.Unfit {
		return ""
	}
	what := "it"
	if p, ok := v.Claims.platform(); ok {
		what = index.PlatformName(&p)
	}
	return Line(what + " " + verdict.Reason())
}

// Remembered lists the images about which something is kept.
func (e *Evaluator) Remembered() ([]string, error) { return e.cache.Images() }

// FollowRemembered calls changed as cache.FollowImages does.
func (e *Evaluator) FollowRemembered(ctx context.Context, changed func(key string)) error {
	return e.cache.FollowImages(ctx, changed)
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
