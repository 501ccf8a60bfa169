package slurm_test

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/placement/slurm"
)

func TestConstraintsNameTheClassesThatAreUsable(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer             placement.Answer
		constraint, prefer string
	}{
		"several": {placement.Answer{Usable: []string{"b", "a"}, Best: []string{"b"}}, "imagefit_b|imagefit_a", "imagefit_b"},
		"one":     {placement.Answer{Usable: []string{"a"}, Best: []string{"a"}, Unfit: []string{"b"}}, "imagefit_a", "imagefit_a"},
		"none":    {placement.Answer{Unfit: []string{"a"}}, "imagefit_none", "imagefit_none"},
	} {
		if c, p := slurm.Constraint(placement.AnyOf(tt.answer.Usable)), slurm.Constraint(placement.AnyOf(tt.answer.Best)); c != tt.constraint || p != tt.prefer {
			t.Errorf("%s: %q and %q, want %q and %q", name, c, p, tt.constraint, tt.prefer)
		}
	}
}

const shown = `NodeName=n1 Arch=x86_64 CoresPerSocket=1 AvailableFeatures=gpu,imagefit_00000000000a ActiveFeatures=gpu,imagefit_00000000000a OS=Linux 6.1.0 #1 SMP State=IDLE
NodeName=n2 AvailableFeatures=imagefit_00000000000b ActiveFeatures=imagefit_00000000000b State=IDLE

NodeName=n3 AvailableFeatures=(null) ActiveFeatures=(null)
NodeName=n4 AvailableFeatures=gpu,imagefit_00000000000a ActiveFeatures=gpu,imagefit_00000000000a
NodeName=n5 AvailableFeatures=a ActiveFeatures=a
`

// Only nodes whose class changed are updated, and their other features stay.
func TestUpdatesAreThoseThatChange(t *testing.T) {
	t.Parallel()
	nodes := slurm.ParseNodes(shown)
	if len(nodes) != 5 || nodes[0].Class() != "00000000000a" || nodes[2].Class() != "" {
		t.Fatalf("read %+v", nodes)
	}
	got := slurm.Updates(nodes, map[string]string{"n1": "00000000000b", "n2": "00000000000b", "n3": "00000000000b", "n4": "00000000000b", "n9": "00000000000b"}, nil)
	const want = `scontrol update NodeName=n[1,4] AvailableFeatures=gpu,imagefit_00000000000b ActiveFeatures=gpu,imagefit_00000000000b
scontrol update NodeName=n3 AvailableFeatures=imagefit_00000000000b ActiveFeatures=imagefit_00000000000b
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := slurm.Features(map[string][]string{"b": {"n3"}, "a": {"n2", "n1"}}, nil), "NodeName=n[1-2] Features=imagefit_a\nNodeName=n3 Features=imagefit_b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// With tokens by facts a node has these beside its class; those that it has no more go, and
// those of others stay.
func TestNodesGetTheTokensOfTheirFacts(t *testing.T) {
	t.Parallel()
	const a, b = "00000000000a", "00000000000b"
	tokens := placement.Tokens{a: {"imagefit_amd64", "imagefit_x86_64_v3"}, b: {}}
	const show = "NodeName=n1 AvailableFeatures=big,imagefit_x86_64_v4,imagefit_" + b + " ActiveFeatures=imagefit_x86_64_v4\n" +
		"NodeName=n2 AvailableFeatures=imagefit_" + a + ",imagefit_amd64,imagefit_x86_64_v3 ActiveFeatures=imagefit_" + a + ",imagefit_amd64,imagefit_x86_64_v3\n"
	nodes := slurm.ParseNodes(show)
	if got := strings.Join(nodes[1].Tokens(), " "); got != "imagefit_amd64 imagefit_x86_64_v3" || nodes[1].Class() != a || nodes[0].Class() != "" {
		t.Errorf("tokens %s, classes %q and %q", got, nodes[1].Class(), nodes[0].Class())
	}
	const of = "imagefit_" + a + ",imagefit_amd64,imagefit_x86_64_v3"
	const want = "scontrol update NodeName=n1 AvailableFeatures=big," + of + " ActiveFeatures=" + of + "\n"
	if got := slurm.Updates(nodes, map[string]string{"n1": a, "n2": a}, tokens); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := slurm.Features(map[string][]string{a: {"n1"}, b: {"n2"}}, tokens), "NodeName=n1 Features="+of+"\nNodeName=n2 Features=imagefit_"+b+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	e := placement.Expression{{"a", "b"}, {"c"}, {"d", "e"}}
	if got := slurm.Constraint(e) + " " + slurm.Constraint(e[:1]); got != "(a&b)|c|(d&e) a&b" {
		t.Errorf("got %s", got)
	}
}
