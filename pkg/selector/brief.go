package selector

import (
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
)

// maxBriefWords bounds the words about one requirement that are kept.
const maxBriefWords = 1_000

// brief is what is left of the checks of a verdict: the words for its reason.
type brief struct {
	words []string // of the first that decide
	more  int      // others that decide
}

// Brief returns the verdict without its checks: they take a hundred bytes for each
// requirement, and only who wants an explanation needs them.
func (v Verdict) Brief() Verdict {
	v.brief, v.Checks = v.inBrief(), nil
	for i, words := range v.brief.words {
		v.brief.words[i] = textutil.Cut(words, maxBriefWords)
	}
	return v
}

// And is the verdict on the requirements of both verdicts together, as parts of one
// AllOf. It is without checks.
func (v Verdict) And(w Verdict) Verdict {
	both := Verdict{
		Outcome: and(v.Outcome, w.Outcome), Score: v.Score + w.Score,
		Closeness: max(v.Closeness, w.Closeness), Met: v.Met + w.Met,
	}
	for _, part := range []Verdict{v, w} {
		if part.Outcome != both.Outcome {
			continue // only what comes out like the whole decides it
		}
		b := part.inBrief()
		b.words = slices.DeleteFunc(slices.Clone(b.words), func(words string) bool { return slices.Contains(both.brief.words, words) })
		room := min(maxReasons-len(both.brief.words), len(b.words))
		both.brief.words = append(slices.Clip(both.brief.words), b.words[:room]...)
		both.brief.more += b.more + len(b.words) - room
	}
	return both
}

// inBrief names the requirements that decide.
func (v Verdict) inBrief() brief {
	if v.Checks == nil {
		return v.brief
	}
	list := once(v.Deciding())
	first := list[:min(len(list), maxReasons)]
	b := brief{more: len(list) - len(first)}
	for _, c := range first {
		b.words = append(b.words, sentence([]*Check{c}, "", 0))
	}
	return b
}

// String is the part of a reason.
func (b brief) String() string {
	words := b.words
	if b.more > 0 {
		words = append(slices.Clip(words), "and "+strconv.Itoa(b.more)+" more")
	}
	return strings.Join(words, ", ")
}
