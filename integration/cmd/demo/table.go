package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/decision"
)

// explain has the tool say, by the same configuration, how the proxy decides.
func (d *demo) explain(ctx context.Context, ref string) (*decision.Decision, error) {
	tool := filepath.Join(filepath.Dir(d.fit.Proxy.Path), "imagefit")
	cmd := exec.CommandContext(ctx, tool, "explain", ref, "--config", d.fit.Config, "-o", "json")
	cmd.Env = stack.Environ()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("imagefit explain %s: %w", ref, err)
	}
	var explained decision.Decision
	if err := json.Unmarshal(out, &explained); err != nil {
		return nil, fmt.Errorf("read what imagefit explain %s printed: %w", ref, err)
	}
	return &explained, nil
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
