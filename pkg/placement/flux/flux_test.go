package flux_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/decisiontest"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/placement/flux"
	"github.com/imagefit/imagefit/pkg/placement/hostlist"
	"github.com/imagefit/imagefit/pkg/selector"
)

// holds evaluates a constraint of RFC 31 on a node, as its rules say: all properties of a
// list must be there, and one of the constraints of or must hold.
func holds(t *testing.T, constraint map[string]any, properties []string) bool {
	t.Helper()
	if len(constraint) != 1 {
		t.Fatalf("constraint %v has %d operators", constraint, len(constraint))
	}
	for operator, operands := range constraint {
		list := operands.([]any)
		one := func(operand any) bool { return holds(t, operand.(map[string]any), properties) }
		switch operator {
		case "properties":
			return !slices.ContainsFunc(list, func(p any) bool { return !slices.Contains(properties, p.(string)) })
		case "or":
			return slices.ContainsFunc(list, one)
		case "and":
			return !slices.ContainsFunc(list, func(operand any) bool { return !one(operand) })
		case "not":
			return !one(list[0])
		default:
			t.Fatalf("operator %q is not one of RFC 31", operator)
		}
	}
	return false
}

// query reads the alternatives of RFC 35, with properties as the default operator.
func query(text string) map[string]any {
	words := strings.Split(text, "|")
	if len(words) == 1 {
		return map[string]any{"properties": []any{text}}
	}
	var or []any
	for _, word := range words {
		or = append(or, map[string]any{"properties": []any{word}})
	}
	return map[string]any{"or": or}
}

func asJSON(t *testing.T, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// jobspec is a job of one node, as flux run makes it.
func jobspec(constraint any) map[string]any {
	slot := map[string]any{"type": "slot", "count": 1, "label": "task", "with": []any{map[string]any{"type": "core", "count": 1}}}
	return map[string]any{
		"version":    1,
		"resources":  []any{map[string]any{"type": "node", "count": 1, "with": []any{slot}}},
		"tasks":      []any{map[string]any{"command": []string{"app"}, "slot": "task", "count": map[string]any{"per_slot": 1}}},
		"attributes": map[string]any{"system": map[string]any{"duration": 0, "constraints": constraint}},
	}
}

// Constraint and verdict agree for every node of every corpus.
func TestConstraintsAgreeWithTheVerdicts(t *testing.T) {
	t.Parallel()
	bench := decisiontest.New(t, compattest.Cloud())
	e := placement.New(bench.Evaluator, bench.Rules.Load())
	r := rand.New(rand.NewPCG(3, 4))
	needs := []string{
		"", compattest.ProposalF("io.kubernetes.nfd", `"cpu-cpuid.AVX2": true`), compattest.ProposalF("io.kubernetes.nfd", `"cpu-cpuid.AVX512F": true`),
		compattest.ProposalF("io.kubernetes.nfd", `"kernel-loadedmodule.noise_3": true`), compattest.ProposalF("io.kubernetes.nfd", `"kernel-version.major": "6"`),
		compattest.ProposalF("no-such-group", `"x": "y"`),
	}
	var images []*decision.Needs
	for i := range 60 {
		var variants []decisiontest.Variant
		for range 1 + r.IntN(3) {
			variants = append(variants, decisiontest.Variant{OS: "linux", Architecture: []string{"amd64", "amd64", "arm64"}[r.IntN(3)], Body: needs[r.IntN(len(needs))]})
		}
		images = append(images, decisiontest.Needs(t, fmt.Sprintf("registry.example/%d:1", i), variants...))
	}
	asked := e.Dimensions(t.Context(), images...)
	byID := map[string]nodeclass.Class{}
	var nodes []nodeclass.Class
	for kind, f := range compattest.MachineTypes(t) {
		for i := range 6 {
			class := nodeclass.Of(compattest.Noisy(r, f, fmt.Sprint(kind, i)), asked)
			byID[class.ID], nodes = class, append(nodes, class)
		}
	}
	var classes []nodeclass.Class
	for _, class := range byID {
		classes = append(classes, class)
	}
	rows, err := e.Match(t.Context(), images, classes)
	if err != nil {
		t.Fatal(err)
	}
	job := readShape(t, "jobspec")
	outcomes := map[selector.Outcome]int{}
	for i := range rows {
		for _, pod := range [][]placement.Row{rows[i : i+1], {rows[i], rows[r.IntN(len(rows))]}} {
			verdicts := placement.Pod(pod)
			answer := placement.AnswerOf(verdicts, classes, false)
			constraint := asJSON(t, flux.ConstraintOf(answer))
			if found := job.check(t, jobspec(constraint)); len(found) > 0 {
				t.Fatalf("%v: %q", constraint, found)
			}
			for _, node := range nodes {
				v := verdicts[slices.IndexFunc(classes, func(c nodeclass.Class) bool { return c.ID == node.ID })]
				outcomes[v.Outcome]++
				properties := []string{"batch", placement.Token(node.ID)}
				if got := holds(t, constraint, properties); got != (v.Outcome != selector.Unfit) {
					t.Fatalf("%s: %v is %t on a node with %+v", rows[i].Reference, constraint, got, v)
				}
				if query := query(flux.Requires(answer)); holds(t, query, properties) != holds(t, constraint, properties) {
					t.Fatalf("--requires %v is not %v", query, constraint)
				}
			}
		}
	}
	if len(outcomes) != 3 {
		t.Errorf("outcomes %v: the corpus tells too little", outcomes)
	}
}

func members() map[string][]string {
	return map[string][]string{"0a1b2c3d4e5f": {"n10", "n9", "n2"}, "ffffffffffff": {"gpu1"}}
}

// What is exported has the shape that Flux reads, and says of each node its class.
func TestResourcesHaveTheShapeThatFluxReads(t *testing.T) {
	t.Parallel()
	set := flux.ResourceSet(members(), 4)
	if found := readShape(t, "r").check(t, set); len(found) > 0 {
		t.Errorf("R: %q", found)
	}
	names, err := hostlist.Parse(set.Execution.NodeList[0])
	if err != nil || strings.Join(names, " ") != "gpu1 n2 n9 n10" {
		t.Errorf("nodes %q, %v", names, err)
	}
	if p := set.Execution.Properties; p["imagefit_0a1b2c3d4e5f"] != "1-3" || p["imagefit_ffffffffffff"] != "0" || set.Execution.Lite[0].Rank != "0-3" {
		t.Errorf("properties %v of ranks %s", p, set.Execution.Lite[0].Rank)
	}
	var config struct {
		Resource struct {
			Config []struct {
				Hosts      string
				Properties []string
			}
		}
	}
	if err := toml.Unmarshal([]byte(flux.Config(members())), &config); err != nil || len(config.Resource.Config) != 2 ||
		config.Resource.Config[0].Hosts != "n[2,9-10]" || config.Resource.Config[0].Properties[0] != "imagefit_0a1b2c3d4e5f" {
		t.Errorf("configuration %+v, %v", config, err)
	}
	if got, want := flux.SetProperties(members()), "flux ion-resource set-property /cluster0/gpu1 imagefit_ffffffffffff=1\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The graph is what Fluxion's reader builds: each vertex once, edges between vertices
// that are there, a tree in each subsystem that begins at its one root.
func TestTheGraphIsATreeInEachSubsystem(t *testing.T) {
	t.Parallel()
	g := flux.JGF(members(), 2)
	if found := readShape(t, "jgf").check(t, g); len(found) > 0 {
		t.Errorf("JGF: %q", found)
	}
	vertices, uniq := map[string]flux.Vertex{}, map[int]bool{}
	for _, v := range g.Graph.Nodes {
		if _, twice := vertices[v.ID]; twice || uniq[v.Metadata.UniqID] {
			t.Errorf("vertex %s is there twice", v.ID)
		}
		vertices[v.ID], uniq[v.Metadata.UniqID] = v, true
		if token := v.Metadata.Properties; v.Metadata.Type == "node" && len(token) != 1 {
			t.Errorf("node %s has the properties %v", v.Metadata.Name, token)
		}
	}
	parents := map[string]int{}
	for _, edge := range g.Graph.Edges {
		source, target := vertices[edge.Source].Metadata.Paths[edge.Metadata.Subsystem], vertices[edge.Target].Metadata.Paths[edge.Metadata.Subsystem]
		if source == "" || !strings.HasPrefix(target, source+"/") || strings.Count(target, "/") != strings.Count(source, "/")+1 {
			t.Errorf("edge from %q to %q", source, target)
		}
		parents[edge.Metadata.Subsystem+target]++
	}
	roots := map[string]int{}
	for _, v := range vertices {
		for subsystem, path := range v.Metadata.Paths {
			switch strings.Count(path, "/") {
			case 1:
				roots[subsystem]++
			default:
				if parents[subsystem+path] != 1 {
					t.Errorf("%s of %s has %d parents", path, subsystem, parents[subsystem+path])
				}
			}
		}
	}
	if len(g.Graph.Nodes) != 1+1+2+4+8 || roots["containment"] != 1 || roots[flux.Subsystem] != 1 {
		t.Errorf("%d vertices, roots %v", len(g.Graph.Nodes), roots)
	}
}
