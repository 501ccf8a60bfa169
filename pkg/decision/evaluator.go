package decision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Options are what an Evaluator is made of.
type Options struct {
	Cache *cache.Cache
	Facts func() *facts.Facts // of this moment
	Rules func() *Rules       // of this moment
	// Unpacks, where set, tells whether the runtime makes a container of what it
	// pulled for a platform; not every configuration of it does.
	Unpacks func(ocispec.Platform) bool
	Log     *slog.Logger
}

// Evaluator evaluates what images ask for. It reads the cache and never the
// network.
type Evaluator struct {
	cache   *cache.Cache
	facts   func() *facts.Facts
	rules   func() *Rules
	unpacks func(ocispec.Platform) bool
	log     *slog.Logger
}

// NewEvaluator returns an Evaluator.
func NewEvaluator(o Options) *Evaluator {
	return &Evaluator{cache: o.Cache, facts: o.Facts, rules: o.Rules, unpacks: o.Unpacks, log: o.Log}
}

// Snapshot returns the rules and facts of this moment.
func (e *Evaluator) Snapshot() Snapshot { return Snapshot{Rules: e.rules(), Facts: e.facts()} }

// Checked is what a node makes of a body that is not attached to any image.
type Checked struct {
	Dialect      string              `json:"dialect"`
	Outcome      selector.Outcome    `json:"outcome"`
	Reason       string              `json:"reason"`
	Requirements []RequirementResult `json:"requirements"`
}

// Check holds a body of a dialect against the facts.
func (e *Evaluator) Check(dialect compat.Dialect, body []byte) (*Checked, error) {
	ev := e.newEvaluation(e.Snapshot(), "")
	reqs, err := dialect.Parse(ev.Rules.Interpreter, body)
	if err != nil {
		return nil, err
	}
	v := selector.Evaluate(ev.Facts, ev.answered(reqs))
	reason := "this node meets what the file asks for"
	if v.Outcome == selector.Unfit {
		reason = "this node does not meet what the file asks for: it " + v.Reason()
	} else if v.Outcome == selector.Unknown {
		reason = "nobody knows whether this node meets what the file asks for: it " + v.Reason()
	}
	return &Checked{Dialect: dialect.Name, Outcome: v.Outcome, Reason: Line(reason), Requirements: results(v)}, nil
}

// short is enough of a digest for a person to find it by. What an artifact
// gives as a digest need not be one.
func short(d digest.Digest) string {
	const length = len("sha256:") + 12
	return string(d[:min(length, len(d))])
}

// Image is what is kept under an image id, for admission. Several manifests may
// share a config, and so an image id: an image compressed in two ways, say.
type Image struct {
	Variants []Variant `json:"variants"` // the latest first
}

// Variant is one manifest that an image id stands for, as one repository has it.
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
		return fmt.Errorf("remember image %s: there is no candidate %d", imageID, i)
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
	if same(variants, earlier.Variants) {
		return nil // a pull of what is known writes nothing
	}
	return e.cache.PutImage(imageID, Image{Variants: variants})
}

// same compares what would be written.
func same(a, b []Variant) bool {
	textA, errA := json.Marshal(a)
	textB, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(textA, textB)
}

// Knows reports whether anything is kept of an image as a repository has it.
func (e *Evaluator) Knows(imageID, repository string) bool {
	variants, err := e.variants(imageID)
	return err == nil && len(of(variants, repository)) > 0
}

func (e *Evaluator) variants(imageID string) ([]Variant, error) {
	var img Image
	if err := e.cache.Image(imageID, &img); err != nil {
		return nil, err
	}
	return img.Variants, nil
}

// of keeps the variants of a repository.
func of(variants []Variant, repository string) []Variant {
	var kept []Variant
	for _, v := range variants {
		if RepositoryOf(v.Reference) == repository {
			kept = append(kept, v)
		}
	}
	return kept
}

// Recall returns what is kept under an image id, and how the image fits by
// the snapshot. Where it is known by which references a container may have come, only what
// is attached in their repositories counts, and each of them must be known: what
// somebody attaches to a copy of their own must not keep others from running the
// image. Nobody can tell which of several manifests a container came from, so the
// one that fits best counts. The error is cache.ErrMiss for an image that nobody
// decided about.
func (e *Evaluator) Recall(s Snapshot, imageID string, references ...string) (Variant, selector.Verdict, error) {
	all, err := e.variants(imageID)
	if err != nil {
		return Variant{}, selector.Verdict{}, err
	}
	variants := all
	if repositories := repositoriesOf(references); len(repositories) > 0 {
		variants = nil
		for _, repository := range repositories {
			known := of(all, repository)
			if len(known) == 0 {
				return Variant{}, selector.Verdict{}, fmt.Errorf("image %s of %s is not known: %w", Line(imageID), repository, cache.ErrMiss)
			}
			variants = append(variants, known...)
		}
	}
	if len(variants) == 0 {
		return Variant{}, selector.Verdict{}, fmt.Errorf("the record of image %s names no manifest: %w", Line(imageID), cache.ErrMiss)
	}
	best := None
	verdicts := make([]selector.Verdict, len(variants))
	for i, v := range variants {
		verdicts[i] = e.newEvaluation(s, RepositoryOf(v.Reference)).verdict(v.Claims, v.Artifacts)
		if best == None || better(verdicts[i].Outcome, verdicts[best].Outcome) {
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

// better reports whether a is more certain to run than b.
func better(a, b selector.Outcome) bool {
	rank := func(o selector.Outcome) int {
		switch o {
		case selector.Fits:
			return 2
		case selector.Unknown:
			return 1
		default:
			return 0
		}
	}
	return rank(a) > rank(b)
}
