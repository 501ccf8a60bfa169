package slurm_test

import (
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
		if c, p := slurm.Constraint(tt.answer), slurm.Prefer(tt.answer); c != tt.constraint || p != tt.prefer {
			t.Errorf("%s: %q and %q, want %q and %q", name, c, p, tt.constraint, tt.prefer)
		}
	}
}

const shown = `NodeName=n1 Arch=x86_64 CoresPerSocket=1 AvailableFeatures=gpu,imagefit_old ActiveFeatures=gpu,imagefit_old OS=Linux 6.1.0 #1 SMP State=IDLE
NodeName=n2 AvailableFeatures=imagefit_new ActiveFeatures=imagefit_new State=IDLE

NodeName=n3 AvailableFeatures=(null) ActiveFeatures=(null)
NodeName=n4 AvailableFeatures=gpu,imagefit_old ActiveFeatures=gpu,imagefit_old
NodeName=n5 AvailableFeatures=a ActiveFeatures=a
`

// Only nodes whose class changed are updated, and their other features stay.
func TestUpdatesAreThoseThatChange(t *testing.T) {
	t.Parallel()
	nodes := slurm.ParseNodes(shown)
	if len(nodes) != 5 || nodes[0].Class() != "old" || nodes[2].Class() != "" {
		t.Fatalf("read %+v", nodes)
	}
	got := slurm.Updates(nodes, map[string]string{"n1": "new", "n2": "new", "n3": "new", "n4": "new", "n9": "new"})
	const want = `scontrol update NodeName=n[1,4] AvailableFeatures=gpu,imagefit_new ActiveFeatures=gpu,imagefit_new
scontrol update NodeName=n3 AvailableFeatures=imagefit_new ActiveFeatures=imagefit_new
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := slurm.Features(map[string][]string{"b": {"n3"}, "a": {"n2", "n1"}}), "NodeName=n[1-2] Features=imagefit_a\nNodeName=n3 Features=imagefit_b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
