package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/cache"
	"github.com/imagefit/imagefit/pkg/decision"
)

// recordOf reads what the proxy kept of an image.
func recordOf(stateDir, id string) (*decision.Image, error) {
	state, err := cache.Open(stateDir, 1<<30)
	if err != nil {
		return nil, err
	}
	var record decision.Image
	if err := state.Image(id, &record); err != nil {
		return nil, fmt.Errorf("read what the proxy decided about %s: %w", id, err)
	}
	return &record, nil
}

// table shows every entry of the index and what became of it.
func table(d *decision.Decision, variants []variant, manifests []ocispec.Descriptor) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "ENTRY\tPLATFORM\tNEEDS AND HAS\tVERDICT\tRANK")
	for i, v := range variants {
		c := candidate(d, manifests[i])
		if c == nil {
			fmt.Fprintf(w, "%s\tlinux/%s\t\tnot for this architecture\t\n", v.name, v.platform)
			continue
		}
		rank := "out"
		switch {
		case c.Rank == 1:
			rank = "1, chosen"
		case c.Rank > 1:
			rank = fmt.Sprint(c.Rank)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", v.name, c.Platform, held(c), c.Outcome, rank)
	}
	_ = w.Flush() // to memory
	return text.String()
}

func candidate(d *decision.Decision, manifest ocispec.Descriptor) *decision.Candidate {
	for i := range d.Candidates {
		if d.Candidates[i].Digest == manifest.Digest {
			return &d.Candidates[i]
		}
	}
	return nil
}

func held(c *decision.Candidate) string {
	var parts []string
	for _, r := range c.Requirements {
		parts = append(parts, r.Want+" ("+r.Have+")")
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
