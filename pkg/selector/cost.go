package selector

import (
	"fmt"
	"math"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
)

// What evaluating may cost, in steps. A step is about what it takes to look at one
// name: some nanoseconds. Steps are counted before they are taken, and do not depend on the
// machine, so that the same image comes out the same everywhere.
const (
	MaxBodySteps  = 10_000_000  // of one artifact body
	MaxImageSteps = 20_000_000  // of all that applies to one image
	MaxPullSteps  = 100_000_000 // of all candidates of one index
)

const (
	// byteSteps is what it takes to parse one byte of a body and to make
	// requirements of it.
	byteSteps = 25
	// compileSteps is what it takes to compile one instruction.
	compileSteps = 64
	// matchSteps is what it takes at worst to move one instruction by one byte.
	matchSteps = 2
	// maxSteps is more than any budget: no count goes beyond.
	maxSteps = math.MaxInt32
)

// ParseCost is how many steps it takes to parse a body of that many bytes.
func ParseCost(bytes int) int { return capped(int64(min(bytes, maxSteps)) * byteSteps) }

// TooCostly returns why something that takes that many steps is not evaluated.
func TooCostly(steps, budget int) string {
	if steps >= maxSteps {
		return fmt.Sprintf("evaluating it takes over %d steps, more than %d", maxSteps, budget)
	}
	return fmt.Sprintf("evaluating it takes %d steps, more than %d", steps, budget)
}

// Cost is how many steps Evaluate takes at most for the requirements on the facts. It
// grows with what is asked and with how much of it the node has; counting it takes
// one look at each requirement.
func Cost(f *facts.Facts, reqs []compat.Requirement) int {
	c := costing{facts: f, sizes: map[string]facts.Size{}}
	c.all(reqs)
	return c.steps
}

// BodyProblem returns why nodes would not evaluate a body of that many bytes, as its
// author reads it, or "". It is about a node that has more of everything than most.
func BodyProblem(bytes int, reqs []compat.Requirement) string {
	steps := capped(int64(ParseCost(bytes)) + int64(Cost(largeNode(), reqs)))
	if steps <= MaxBodySteps {
		return ""
	}
	return TooCostly(steps, MaxBodySteps)
}

// costing is one walk over requirements.
type costing struct {
	facts *facts.Facts
	sizes map[string]facts.Size
	steps int
	// defined is what rule.matched holds for the requirement that is looked at.
	defined facts.Size
}

func capped(steps int64) int { return int(min(steps, maxSteps)) }

// add counts n steps, each as often as there are times.
func (c *costing) add(n, times int) {
	n, times = min(n, maxSteps), min(times, maxSteps)
	c.steps = capped(int64(c.steps) + int64(capped(int64(n)*int64(times))))
}

func (c *costing) all(reqs []compat.Requirement) {
	for i := range reqs {
		c.requirement(&reqs[i])
	}
}

func (c *costing) requirement(req *compat.Requirement) {
	if req.Each != nil {
		begin := c.steps
		defer func() { c.add(c.steps-begin, max(0, len(kindsOf(c.facts, req.Each))-1)) }()
	}
	c.add(8, 1)
	for i := range req.May {
		c.add(8, 1+len(req.May[i].Terms))
	}
	if req.Combine == compat.Leaf {
		c.leaf(req)
		return
	}
	scope := c.defined
	for i := range req.Parts {
		part := &req.Parts[i]
		c.requirement(part)
		if part.Defines == nil {
			continue
		}
		c.defined.Instances++
		for name, value := range part.Defines {
			c.defined.Names++
			c.defined.NameBytes += len(name)
			c.defined.Bytes += len(value)
		}
	}
	c.defined = scope
}

func (c *costing) leaf(req *compat.Requirement) {
	size := c.size(req.Set)
	for i := range req.Terms {
		t := &req.Terms[i]
		switch {
		case req.Set == ruleMatched: // each rule before it is looked at
			c.add(1, size.Instances)
			c.term(t, 1, size.Bytes)
		case size.Instances > 0:
			c.term(t, size.Instances, size.Bytes)
		default:
			c.term(t, 1, len(c.facts.Lookup(req.Set, t.Element).Value))
		}
	}
	if req.Name != nil {
		c.term(req.Name, size.Names, size.NameBytes)
	}
}

func (c *costing) size(set string) facts.Size {
	if set == ruleMatched {
		return c.defined
	}
	size, ok := c.sizes[set]
	if !ok {
		size = c.facts.Size(set)
		c.sizes[set] = size
		c.add(1, size.Names)
	}
	return size
}

// term counts one condition on that many values, of that many bytes together.
func (c *costing) term(t *compat.Term, values, bytes int) {
	switch t.Op {
	case compat.InRegexp:
		for _, program := range t.Programs {
			c.add(program, compileSteps)
			c.add(matchSteps*(min(program, maxSteps)+1), bytes+values)
		}
	case compat.Gt, compat.Ge, compat.Lt, compat.Le, compat.GtLt, compat.GeLe:
		c.add(1, bytes)
		for _, value := range t.Values {
			c.add(4+len(value), values)
		}
	default:
		c.add(4+len(t.Values), values)
	}
}

// largeNode returns a node with the kernel options of a distribution and hundreds of
// each other thing.
func largeNode() *facts.Facts {
	const options, others = 12_000, 500
	features := facts.NewFeatures()
	name := func(i int) string { return fmt.Sprintf("A_USUAL_NAME_%04d", i) }
	features.Attributes["kernel.config"] = map[string]string{}
	for i := range options {
		features.Attributes["kernel.config"][name(i)] = "y"
	}
	for _, set := range []string{"cpu.cpuid", "kernel.loadedmodule", "kernel.enabledmodule"} {
		for i := range others {
			features.Flags[set] = append(features.Flags[set], name(i))
		}
	}
	for _, set := range []string{"pci.device", "usb.device", "network.device", "storage.block"} {
		for i := range others {
			features.Instances[set] = append(features.Instances[set], map[string]string{"name": name(i), "vendor": "8086", "class": "0200", "device": "1572"})
		}
	}
	return facts.NewOwned("linux", "amd64", features)
}
