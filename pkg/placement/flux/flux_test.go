package flux_test

import (
	"encoding/json"
	"errors"
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

// query reads the part of RFC 35 that is written: names joined by &, which binds closer
// than |, with parentheses.
func query(t *testing.T, text string) map[string]any {
	t.Helper()
	var or []any
	for _, alternative := range strings.Split(text, "|") {
		if inner, ok := strings.CutPrefix(alternative, "("); ok {
			alternative = strings.TrimSuffix(inner, ")")
		}
		var and []any
		for _, word := range strings.Split(alternative, "&") {
			if word == "" || strings.ContainsAny(word, "()|&!'\":, ") || strings.HasPrefix(word, "-") {
				t.Fatalf("%q of %q is not a term of RFC 35", word, text)
			}
			and = append(and, map[string]any{"properties": []any{word}})
		}
		or = append(or, map[string]any{"and": and})
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
	job, canonical := readShape(t, "jobspec"), readShape(t, "canonical")
	vocabulary, tokens := e.Vocabulary(t.Context(), images...), placement.Tokens{}
	for _, class := range classes {
		tokens[class.ID] = vocabulary.Tokens(class.Facts)
	}
	byFacts := 0
	outcomes := map[selector.Outcome]int{}
	for i := range rows {
		for _, pod := range [][]placement.Row{rows[i : i+1], {rows[i], rows[r.IntN(len(rows))]}} {
			verdicts := placement.Pod(pod)
			answer := placement.AnswerOf(verdicts, classes, false)
			expressions := []placement.Expression{placement.AnyOf(answer.Usable)}
			of := placement.Job{Rows: pod, Classes: classes, Answer: answer, Tokens: tokens}
			for _, row := range pod {
				of.Images = append(of.Images, images[slices.IndexFunc(images, func(n *decision.Needs) bool { return n.Reference == row.Reference })])
			}
			if expression, err := e.ByFacts(t.Context(), of, false); err == nil {
				expressions, byFacts = append(expressions, expression), byFacts+1
			}
			for _, expression := range expressions {
				constraint := asJSON(t, flux.ConstraintOf(expression))
				if err := errors.Join(problem(t, job, jobspec(constraint)), problem(t, canonical, jobspec(constraint))); err != nil {
					t.Fatalf("%v: %v", constraint, err)
				}
				for _, node := range nodes {
					v := verdicts[slices.IndexFunc(classes, func(c nodeclass.Class) bool { return c.ID == node.ID })]
					outcomes[v.Outcome]++
					properties := append([]string{"batch"}, tokens.Of(node.ID)...)
					if got := holds(t, constraint, properties); got != (v.Outcome != selector.Unfit) {
						t.Fatalf("%s: %v is %t on a node with %+v", rows[i].Reference, constraint, got, v)
					}
					if query := query(t, flux.Requires(expression)); holds(t, query, properties) != holds(t, constraint, properties) {
						t.Fatalf("--requires %v is not %v", query, constraint)
					}
				}
			}
		}
	}
	if byFacts < len(images) {
		t.Errorf("%d jobs are asked for by facts: the corpus tells too little", byFacts)
	}
	if len(outcomes) != 3 {
		t.Errorf("outcomes %v: the corpus tells too little", outcomes)
	}
}

func members() map[string][]string {
	return map[string][]string{"0a1b2c3d4e5f": {"n10", "n9", "n2"}, "ffffffffffff": {"gpu1"}}
}

// tokens are those of the first class of members.
func tokens() placement.Tokens { return placement.Tokens{"0a1b2c3d4e5f": {"imagefit_amd64"}} }

// setOf is the resource set of members with their properties.
func setOf(t *testing.T, r *flux.R) *flux.R {
	t.Helper()
	if unknown, err := r.SetProperties(members(), tokens()); err != nil || len(unknown) > 0 {
		t.Fatalf("%v, nothing is known of %q", err, unknown)
	}
	return r
}

// What is exported has the shape that Flux reads, and says of each node its class.
func TestResourcesHaveTheShapeThatFluxReads(t *testing.T) {
	t.Parallel()
	set := setOf(t, flux.Whole(members(), 4))
	if err := problem(t, readShape(t, "r"), set); err != nil {
		t.Errorf("R: %v", err)
	}
	names, err := hostlist.Parse(set.Execution.NodeList[0])
	if err != nil || strings.Join(names, " ") != "gpu1 n2 n9 n10" {
		t.Errorf("nodes %q, %v", names, err)
	}
	p := set.Execution.Properties
	if p["imagefit_0a1b2c3d4e5f"] != "1-3" || p["imagefit_ffffffffffff"] != "0" || p["imagefit_amd64"] != "1-3" || set.Execution.Lite[0].Rank != "0-3" {
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
	if err := toml.Unmarshal([]byte(flux.Config(members(), tokens())), &config); err != nil || len(config.Resource.Config) != 2 ||
		config.Resource.Config[0].Hosts != "n[2,9-10]" || strings.Join(config.Resource.Config[0].Properties, " ") != "imagefit_0a1b2c3d4e5f imagefit_amd64" {
		t.Errorf("configuration %+v, %v", config, err)
	}
	calls := flux.SetProperties(members(), tokens())
	for _, want := range []string{"flux ion-resource set-property /cluster0/gpu1 imagefit_ffffffffffff=1\n", " /cluster0/n10 /cluster0/n2 /cluster0/n9 imagefit_amd64=1\n"} {
		if !strings.Contains(calls, want) {
			t.Errorf("got %s, want %s", calls, want)
		}
	}
}

// current is what an instance with nodes of two kinds has, in an order of its own.
const current = `{"version": 1, "execution": {"R_lite": [{"rank": "0,3", "children": {"core": "0-1", "gpu": "0"}}, {"rank": "[1-2]", "children": {"core": "0-3"}}],
  "starttime": 5, "expiration": 9, "nodelist": ["n[9-10]", "gpu1,n2"], "properties": {"batch": "1-2", "imagefit_000000000000": "0-3"}}, "attributes": {"system": {}}}`

// The resource set of an instance keeps its ranks, cores, GPUs and the properties of others.
func TestAResourceSetOfAnInstanceKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	set, err := flux.Read([]byte(current))
	if err != nil {
		t.Fatal(err)
	}
	setOf(t, set)
	if err := problem(t, readShape(t, "r"), set); err == nil { // the idset with brackets stays as it is
		t.Error("the schema takes brackets")
	}
	p := set.Execution.Properties
	if p["batch"] != "1-2" || p["imagefit_000000000000"] != "" || p["imagefit_ffffffffffff"] != "2" || p["imagefit_0a1b2c3d4e5f"] != "0-1,3" {
		t.Errorf("properties %v", p)
	}
	if lite := set.Execution.Lite; lite[0].Children["gpu"] != "0" || lite[1].Children["core"] != "0-3" || set.Execution.Expiration != 9 || string(set.Attributes) != `{"system": {}}` {
		t.Errorf("resource set %+v", set)
	}
	g, err := flux.JGF(set, members(), tokens())
	if err != nil {
		t.Fatal(err)
	}
	if err := problem(t, readShape(t, "jgf"), g); err != nil {
		t.Errorf("JGF: %v", err)
	}
	kinds := map[string]int{}
	for _, v := range g.Graph.Nodes {
		kinds[v.Metadata.Type]++
		if v.Metadata.Name == "n9" && v.Metadata.Rank != 0 || v.Metadata.Name == "gpu1" && v.Metadata.Rank != 2 {
			t.Errorf("%s has rank %d", v.Metadata.Name, v.Metadata.Rank)
		}
	}
	if kinds["core"] != 2+2+4+4 || kinds["gpu"] != 2 || kinds["node"] != 4 {
		t.Errorf("the graph has %v", kinds)
	}
	fewer := map[string][]string{"0a1b2c3d4e5f": {"n9", "n10", "n2"}}
	if unknown, err := set.SetProperties(fewer, nil); err != nil || strings.Join(unknown, " ") != "gpu1" || set.Execution.Properties["imagefit_0a1b2c3d4e5f"] != "0-1,3" {
		t.Errorf("nothing is known of %q, %v, properties %v", unknown, err, set.Execution.Properties)
	}
}

func TestWhatIsNotAResourceSetIsAnError(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"[]":             "cannot unmarshal",
		"{}":             "not a resource set of version 1",
		`{"version": 2}`: "not a resource set of version 1",
		strings.Replace(current, `"n[9-10]", `, ``, 1):                                "4 ranks and 2 names",
		strings.Replace(current, `"rank": "0,3"`, `"rank": "0-99999999"`, 1):          "is not an idset",
		strings.Replace(current, `"rank": "0,3"`, `"rank": "3-0"`, 1):                 "is not an idset",
		strings.Replace(current, `"rank": "0,3"`, `"rank": "x"`, 1):                   "is not an idset",
		strings.Replace(current, `"attributes"`, `"scheduling": {}, "attributes"`, 1): "graph of a scheduler",
		strings.Replace(current, `"n[9-10]"`, `"n[1-2"`, 1):                           "nodelist",
	} {
		if _, err := flux.Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	set, err := flux.Read([]byte(strings.Replace(current, `"core": "0-1"`, `"core": "0-9999999"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := flux.JGF(set, members(), nil); err == nil || !strings.Contains(err.Error(), "node n9: core: ") {
		t.Errorf("a node with too many cores: %v", err)
	}
}

// The graph is what Fluxion's reader builds: each vertex once, edges between vertices
// that are there, a tree in each subsystem that begins at its one root.
func TestTheGraphIsATreeInEachSubsystem(t *testing.T) {
	t.Parallel()
	g, err := flux.JGF(flux.Whole(members(), 2), members(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := problem(t, readShape(t, "jgf"), g); err != nil {
		t.Errorf("JGF: %v", err)
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
