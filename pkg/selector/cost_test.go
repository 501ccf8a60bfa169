package selector_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
)

// withOptions returns a node with n kernel options and n devices.
func withOptions(n int) *facts.Facts {
	features := facts.NewFeatures()
	features.Attributes["kernel.config"] = map[string]string{}
	for i := range n {
		name := fmt.Sprintf("AN_OPTION_%06d", i)
		features.Attributes["kernel.config"][name] = "y"
		features.Instances["pci.device"] = append(features.Instances["pci.device"], map[string]string{"vendor": "8086"})
	}
	return facts.New("linux", "amd64", features)
}

// nameLike is a condition on names by patterns of that many instructions.
func nameLike(set string, programs ...int) compat.Requirement {
	t := compat.Term{Op: compat.InRegexp, Programs: programs}
	for _, size := range programs {
		t.Values = append(t.Values, strings.Repeat("x", size))
	}
	return compat.Requirement{Set: set, Name: &t}
}

// TestCostGrowsWithWhatIsLookedAt: with the names, the instructions, the values, the
// devices and the variables, each times the other.
func TestCostGrowsWithWhatIsLookedAt(t *testing.T) {
	t.Parallel()
	values := make([]string, 1000)
	in := func(set string, name bool) compat.Requirement {
		term := compat.Term{Element: "vendor", Op: compat.In, Values: values}
		if name {
			return compat.Requirement{Set: set, Name: &term}
		}
		return compat.Requirement{Set: set, Terms: []compat.Term{term}}
	}
	vars := map[string]string{}
	for i := range 100 {
		vars[fmt.Sprint("v", i)] = "x"
	}
	var rules []compat.Requirement
	for range 100 {
		rules = append(rules, compat.Requirement{Combine: compat.AllOf, Defines: vars, Parts: []compat.Requirement{nameLike("rule.matched", 100)}})
	}
	huge := nameLike("kernel.config", 1)
	huge.Name.Programs[0] = 1 << 40
	for name, test := range map[string]struct {
		req         compat.Requirement
		least, most int
	}{
		"a flag":                      {compat.Requirement{Set: "cpu.cpuid", Terms: []compat.Term{{Element: "AVX2", Op: compat.Exists}}}, 1, 50},
		"a pattern on few names":      {nameLike("cpu.cpuid", 20), 1, 5000},
		"a pattern on many names":     {nameLike("kernel.config", 1000), 2 * 100 * 16 * 1000, 2 * 100 * 18 * 1200},
		"patterns on many names":      {nameLike("kernel.config", 1000, 1000, 1000), 2 * 3 * 100 * 16 * 1000, 2 * 3 * 100 * 18 * 1200},
		"values on many names":        {in("kernel.config", true), 100 * 1000, 110 * 1000},
		"values on many devices":      {in("pci.device", false), 100 * 1000, 110 * 1000},
		"variables of earlier rules":  {compat.Requirement{Combine: compat.AllOf, Parts: rules}, 100 * 99 / 2 * 100 * 2 * 100, 1<<31 - 1},
		"more than there are numbers": {huge, 1<<31 - 1, 1<<31 - 1},
	} {
		if got := selector.Cost(withOptions(100), []compat.Requirement{test.req}); got < test.least || got > test.most {
			t.Errorf("%s: %d steps, want %d to %d", name, got, test.least, test.most)
		}
	}
}

// TestCostIsTheSameEveryTime, though names come in no order.
func TestCostIsTheSameEveryTime(t *testing.T) {
	t.Parallel()
	reqs := []compat.Requirement{nameLike("kernel.config", 7), nameLike("pci.device", 9)}
	want := selector.Cost(withOptions(1000), reqs)
	for range 20 {
		if got := selector.Cost(withOptions(1000), reqs); got != want {
			t.Fatalf("%d steps, and then %d", want, got)
		}
	}
}

// TestOrdinaryConditionsAreFarFromTheBudget, also on a node that has much of everything.
func TestOrdinaryConditionsAreFarFromTheBudget(t *testing.T) {
	t.Parallel()
	for name, req := range map[string]compat.Requirement{
		"all flags of a family": nameLike("cpu.cpuid", 12),
		"a kernel option":       {Set: "kernel.config", Terms: []compat.Term{{Element: "SMP", Op: compat.In, Values: []string{"y"}}}},
		"options by a pattern":  nameLike("kernel.config", 20),
	} {
		if problem := selector.BodyProblem(2000, []compat.Requirement{req}); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
	if problem := selector.BodyProblem(600, []compat.Requirement{nameLike("kernel.config", 1000)}); !strings.Contains(problem, "more than 10000000") {
		t.Errorf("an expression of 1,000 instructions on kernel options: %q", problem)
	}
}

// BenchmarkCostliest evaluates requirements whose cost is the whole budget of a body,
// in each of the ways to spend it.
func BenchmarkCostliest(b *testing.B) {
	node := withOptions(12_000)
	values := make([]string, 800)
	for i := range values {
		values[i] = fmt.Sprint("AN_OPTION_", i)
	}
	pattern := func(text string, size int) compat.Requirement {
		return compat.Requirement{Set: "kernel.config", Name: &compat.Term{Op: compat.InRegexp, Values: []string{text}, Programs: []int{size}}}
	}
	for name, req := range map[string]compat.Requirement{
		"values":      {Set: "kernel.config", Name: &compat.Term{Op: compat.In, Values: values}},
		"backtracked": pattern(strings.Repeat("(A|B|.)*", 3)+"$x", 30),
		"automaton":   pattern("(.*.*.*.*.*.*){20}x$", 300),
	} {
		b.Run(name, func(b *testing.B) {
			reqs := []compat.Requirement{req}
			steps := selector.Cost(node, reqs)
			for b.Loop() {
				selector.Evaluate(node, reqs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(steps), "ns/step")
		})
	}
}
