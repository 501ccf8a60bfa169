package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
)

// nodeOfLevel is a node of an x86-64 level, with modules.
func nodeOfLevel(name string, level int, modules ...string) *facts.Facts {
	return facts.New("linux", "amd64", facts.Features{
		Flags: map[string][]string{"kernel.loadedmodule": modules},
		Attributes: map[string]map[string]string{
			"cpu.x86_64": {"level": fmt.Sprint(level)}, "system.name": {"nodename": name}, "kernel.version": {"full": "6.1.0"},
		},
	})
}

// nodeFiles writes the facts of nodes n1 to n4, of two levels, and returns their folder.
func nodeFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, node := range map[string]*facts.Facts{
		"n1": nodeOfLevel("n1", 2, "a"), "n2": nodeOfLevel("n2", 3, "b"), "n3": nodeOfLevel("n3", 3, "nvidia"), "n4": nodeOfLevel("n4", 1),
	} {
		text, err := json.Marshal(node)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func classOfLevel(level int) string { return nodeclass.Of(nodeOfLevel("", level), nil).ID }

func TestMatchAnswersInTheWordsOfEachScheduler(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{})
	s.Index("levels", s.Image("linux/amd64/v2", "v2"), s.Image("linux/amd64/v3", "v3"), s.Image("linux/arm64", "arm"))
	s.Index("v4", s.Image("linux/amd64/v4", "v4"))
	b := s.Image("linux/amd64", "b")
	s.Attach(b, fakeregistry.Artifact{Body: `{"compatibilities": {"nfd": {"kernel-loadedmodule.b": true}}}`})
	s.Index("both", b)
	dir := nodeFiles(t)
	v2, v3, v1 := classOfLevel(2), classOfLevel(3), classOfLevel(1)
	for name, tt := range map[string]struct {
		image, format string
		flags         []string
		want          string
		err           error
	}{
		"hosts":          {"levels", "hostlist", nil, "n[1-3]", nil},
		"constraint":     {"levels", "slurm-constraint", nil, "imagefit_" + v3 + "|imagefit_" + v2, nil},
		"prefer":         {"levels", "slurm-prefer", nil, "imagefit_" + v3, nil},
		"requires":       {"levels", "flux-requires", nil, "imagefit_" + v3 + "|imagefit_" + v2, nil},
		"constraint 31":  {"levels", "flux-constraint", nil, `{"or":[{"properties":["imagefit_` + v3 + `"]},{"properties":["imagefit_` + v2 + `"]}]}`, nil},
		"affinity":       {"levels", "nodeaffinity", nil, "operator: NotIn values: - " + v1 + " preferredDuringSchedulingIgnoredDuringExecution: - weight: 100", nil},
		"affinity, only": {"levels", "nodeaffinity", []string{"--strict"}, "operator: In values: - " + v3 + " - " + v2, nil},
		"by facts":       {"levels", "slurm-constraint", []string{"--by", "facts"}, "imagefit_x86_64_v2", nil},
		"by facts, best": {"levels", "slurm-prefer", []string{"--by", "facts"}, "imagefit_x86_64_v3", nil},
		"by facts, flux": {"both", "flux-requires", []string{"--by", "facts"}, "imagefit_amd64&imagefit_kernel.loadedmodule.b", nil},
		"by facts, 31":   {"both", "flux-constraint", []string{"--by", "facts"}, `{"properties":["imagefit_amd64","imagefit_kernel.loadedmodule.b"]}`, nil},
		"by facts, none": {"v4", "slurm-constraint", []string{"--by", "facts"}, "imagefit_none", cli.ExitError(3)},
		"nowhere":        {"v4", "slurm-constraint", nil, "imagefit_none", cli.ExitError(3)},
		"nowhere, flux":  {"v4", "flux-constraint", nil, `{"properties":["imagefit_none"]}`, cli.ExitError(3)},
		"nowhere, hosts": {"v4", "hostlist", nil, "", cli.ExitError(3)},
		"nowhere, pod":   {"v4", "nodeaffinity", nil, "operator: NotIn", cli.ExitError(3)},
	} {
		t.Run(name, func(t *testing.T) {
			got := tool(t, "", append([]string{"match", s.Reference(":" + tt.image), "--nodes", dir, "-o", tt.format}, tt.flags...)...)
			text := strings.Join(strings.Fields(got.stdout), " ")
			if strings.HasPrefix(text, "{") {
				text = strings.ReplaceAll(text, " ", "")
			}
			if got.err != tt.err || !strings.Contains(text, tt.want) || tt.want == "" && text != "" {
				t.Errorf("%v\ngot  %s\nwant %s\nstderr %s", got.err, text, tt.want, got.stderr)
			}
			if tt.err != nil && !strings.Contains(got.stderr, "needs cpu.x86_64 level >= 4 (is 1)") {
				t.Errorf("stderr lacks the reason: %s", got.stderr)
			}
		})
	}
}

// What is for people and programs has each image on each class.
func TestMatchListsEachImage(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{})
	s.Index("levels", s.Image("linux/amd64/v2", "v2"), s.Image("linux/amd64/v3", "v3"))
	dir := nodeFiles(t)
	images := write(t, "images", "# ours\n\n"+s.Reference(":levels")+"\n"+s.Reference(":1")+"\n")
	got := tool(t, "", "match", "--images", images, "--nodes", dir)
	if got.err != nil {
		t.Fatalf("%v %s", got.err, got.stderr)
	}
	for _, want := range []string{"n[2-3]", "fits", "does not fit", "linux/amd64/v3 sha256:", "needs cpu.x86_64 level >= 2 (is 1)", s.Reference(":1")} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("the table lacks %q\n%s", want, got.stdout)
		}
	}
	var m matrix
	if err := json.Unmarshal([]byte(toolOK(t, "match", "--images", images, "--nodes", dir, "-o", "json")), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Images) != 2 || len(m.Images[0].Classes) != 3 || len(m.Together) != 3 {
		t.Errorf("JSON %+v", m)
	}
	if rows := strings.Split(strings.TrimSpace(toolOK(t, "match", "--images", images, "--nodes", dir, "-o", "csv")), "\n"); len(rows) != 9 {
		t.Errorf("%d rows, want a header and 8: %q", len(rows), rows)
	}
	missing := tool(t, "", "match", s.Reference(":levels"), s.Reference(":missing"), "--nodes", dir)
	if missing.err == nil || !strings.Contains(missing.stdout, "does not fit") || !strings.Contains(missing.stdout, "error") {
		t.Errorf("%v\n%s", missing.err, missing.stdout)
	}
	wantError(t, tool(t, "", "match", s.Reference(":missing"), "--nodes", dir, "-o", "slurm-constraint").err, "404 Not Found")
}

// formsOfNodes is a folder with a node in each form: a snapshot, what NFD exports, a
// NodeFeature object as YAML, and a list of them.
func formsOfNodes(t *testing.T, exported string) string {
	t.Helper()
	dir := t.TempDir()
	toolOK(t, "facts", "snapshot", "--root", zenRoot, filepath.Join(dir, "s7.tar.gz"))
	for name, text := range map[string]string{
		"w2.json": exported, "k.yaml": strings.ReplaceAll(nodeYAML, "node-1", "k1"), "list.json": list("NodeFeatureList", nodeFeature("k3", "6.1.2"), nodeFeature("k4", "6.1.2")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Nodes come in every form that a cluster has them in.
func TestMatchReadsNodesInEveryForm(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{})
	s.Index("levels", s.Image("linux/amd64/v2", "v2"), s.Image("linux/amd64/v3", "v3"))
	dir := nodeFiles(t)
	fleet := write(t, "classes.json", toolOK(t, "export", "classes", "--nodes", dir))
	one, err := os.ReadFile(filepath.Join(dir, "n3.json"))
	if err != nil {
		t.Fatal(err)
	}
	class, err := json.Marshal(nodeclass.Of(nodeOfLevel("x", 3), nil))
	if err != nil {
		t.Fatal(err)
	}
	features := list("List", nodeFeature("k1", "6.1.2"), nodeFeature("k2", "6.1.2"), added("more", "k2"))
	kubernetes := strings.TrimSuffix(features, "]}") + `, {"kind": "Node", "metadata": {"name": "k1"}, "status": {"nodeInfo": {"architecture": "amd64"}}}], "kind": "List"}`
	const exported = `{"flags": {"cpu.cpuid": {"elements": {"X86_64_V3": {}}}}, "attributes": {"kernel.version": {"elements": {"full": "6.1.2"}}}, "instances": {}}`
	forms := formsOfNodes(t, exported)
	show := "NodeName=s1 AvailableFeatures=x ActiveFeatures=x,imagefit_" + classOfLevel(3) + " State=IDLE\nNodeName=s2 ActiveFeatures=imagefit_" + classOfLevel(1) + "\n"
	for name, tt := range map[string]struct {
		stdin string
		nodes []string
		want  string
	}{
		"a folder":             {"", []string{dir}, "n[1-3]"},
		"classes":              {"", []string{fleet}, "n[1-3]"},
		"a node on stdin":      {string(one), []string{"-"}, "n3"},
		"several on stdin":     {string(one) + strings.ReplaceAll(string(one), `"n3"`, `"n7"`), []string{"-"}, "n[3,7]"},
		"a class":              {string(class), []string{"-"}, classOfLevel(3)},
		"a list of Kubernetes": {kubernetes, []string{"-", "--arch", "amd64"}, "k[1-2]"},
		"YAML":                 {nodeYAML, []string{"-", "--arch", "amd64"}, "node-1"},
		"YAML of several":      {"---\n" + nodeYAML + "---\n" + strings.ReplaceAll(nodeYAML, "node-1", "node-2"), []string{"-", "--arch", "amd64"}, "node-[1-2]"},
		"nfd export":           {"", []string{write(t, "w1.json", exported), "--arch", "amd64"}, "w1"},
		"a folder of all":      {"", []string{forms, "--arch", "amd64"}, "k[1,3-4],s7,w2"},
		"Slurm":                {show, []string{"-", "--nodes", fleet}, "s1"},
		"several":              {string(one), []string{"-", "--nodes", write(t, "n9.json", strings.ReplaceAll(string(one), `"n3"`, `"n9"`))}, "n[3,9]"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"match", s.Reference(":levels"), "-o", "hostlist", "--nodes"}, tt.nodes...)
			got := tool(t, tt.stdin, args...)
			if got.err != nil || strings.TrimSpace(got.stdout) != tt.want {
				t.Errorf("%v: %q, want %q; %s", got.err, got.stdout, tt.want, got.stderr)
			}
		})
	}
	for name, tt := range map[string]struct {
		stdin string
		nodes []string
		want  string
	}{
		"none":                     {"", nil, "--nodes is missing"},
		"a missing file":           {"", []string{"no-such-file"}, "no such file"},
		"empty":                    {"", []string{"-"}, "the file is empty"},
		"a deployment":             {list("List", `{"kind": "Deployment"}`), []string{"-"}, `item 0 is a "Deployment"`},
		"half":                     {string(one[:len(one)/2]), []string{"-"}, "expected what"},
		"nothing known of a class": {show, []string{"-"}, "of which nothing is known"},
		"no class":                 {"NodeName=s1 ActiveFeatures=x\n", []string{"-"}, "no feature that names its class"},
		"twice":                    {string(one), []string{"-", "--nodes", dir}, "is in - as well"},
		"an architecture":          {"", []string{dir, "--arch", "vax"}, "--arch"},
		"forged":                   {strings.Replace(string(class), `"arch":"amd64"`, `"arch":"arm64"`, 1), []string{"-"}, "its facts are those of class"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"match", s.Reference(":levels"), "-o", "hostlist"}
			if tt.nodes != nil {
				args = append(append(args, "--nodes"), tt.nodes...)
			}
			wantError(t, tool(t, tt.stdin, args...).err, tt.want)
		})
	}
}

// With images that ask for more, classes differ in that too, in all commands that read
// the same file.
func TestExportTellsSchedulersTheClasses(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{})
	image := s.Image("linux/amd64", "m")
	s.Attach(image, fakeregistry.Artifact{Body: `{"compatibilities": {"nfd": {"kernel-loadedmodule.nvidia": true}}}`})
	s.Index("module", image)
	dir := nodeFiles(t)
	images := write(t, "images", s.Reference(":module"))
	fleetFile := write(t, "classes.json", toolOK(t, "export", "classes", "--nodes", dir, "--images", images))
	constraint := strings.TrimSpace(toolOK(t, "match", s.Reference(":module"), "--nodes", fleetFile, "-o", "slurm-constraint"))
	features := toolOK(t, "export", "slurm", "--nodes", fleetFile)
	if want := "NodeName=n3 Features=" + constraint + "\n"; !strings.Contains(features, want) || strings.Count(features, "\n") != 4 {
		t.Errorf("features\n%s\nlack %s", features, want)
	}
	// Classes that were made without the image leave it unknown, which excludes no node.
	base := write(t, "base.json", toolOK(t, "export", "classes", "--nodes", dir))
	got := tool(t, "", "match", s.Reference(":module"), "--nodes", base, "-o", "hostlist")
	if got.err != cli.ExitError(4) || got.stdout != "n[1-4]\n" || !strings.Contains(got.stderr, "it is not part of the node class") {
		t.Errorf("%v: %s %s", got.err, got.stdout, got.stderr)
	}
	if got := tool(t, "", "match", s.Reference(":module"), "--nodes", base, "-o", "hostlist", "--strict"); got.stdout != "" {
		t.Errorf("strict: %s", got.stdout)
	}
	show := "NodeName=n3 AvailableFeatures=gpu ActiveFeatures=gpu\nNodeName=n1 AvailableFeatures=(null) ActiveFeatures=(null)\n"
	updates := tool(t, show, "export", "slurm", "--nodes", fleetFile, "--current", "-")
	if want := "scontrol update NodeName=n3 AvailableFeatures=gpu," + constraint + " ActiveFeatures=gpu," + constraint; !strings.Contains(updates.stdout, want) {
		t.Errorf("%v\n%s", updates.err, updates.stdout)
	}
	wantError(t, tool(t, "{}", "export", "slurm", "--nodes", fleetFile, "--current", "-").err, "scontrol show node")
	wantError(t, tool(t, "", "export", "slurm", "--nodes", fleetFile, "--current", fleetFile).err, "scontrol show node")
	for args, want := range map[string]string{
		"flux":                            "[[resource.config]]\nhosts = \"n3\"\nproperties = [\"" + constraint + "\"]",
		"flux --format set-property":      "flux ion-resource set-property /cluster0/n3 " + constraint + "=1",
		"flux --format R --cores 4":       `"` + constraint + `": "2"`,
		"flux --format jgf":               `"` + placement.TokenPrefix,
		"kubernetes":                      "kubectl label node --overwrite n3 imagefit.dev/class=" + strings.TrimPrefix(constraint, placement.TokenPrefix),
		"kubernetes --format nodefeature": "imagefit.dev/class: " + strings.TrimPrefix(constraint, placement.TokenPrefix),
	} {
		if got := toolOK(t, append(append([]string{"export"}, strings.Fields(args)...), "--nodes", fleetFile)...); !strings.Contains(got, want) {
			t.Errorf("%s\n%s\nlacks %s", args, got, want)
		}
	}
	wantError(t, tool(t, "", "export", "flux", "--nodes", fleetFile, "--format", "R", "--cores", "0").err, "--cores 0")
	wantError(t, tool(t, "", "export", "kubernetes", "--nodes", fleetFile, "--format", "features.d").err, "the file of one node", "names 4")
	one := toolOK(t, "export", "kubernetes", "--nodes", filepath.Join(dir, "n3.json"), "--images", images, "--format", "features.d")
	if want := "imagefit.dev/class=" + strings.TrimPrefix(constraint, placement.TokenPrefix) + "\n"; one != want {
		t.Errorf("features.d has %s, want %s", one, want)
	}
}

// A node finds its class among those of a file: as it would be if it were in it.
func TestFactsPrintTheClassInTheDimensionsOfAFile(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{})
	image := s.Image("linux/amd64", "m")
	s.Attach(image, fakeregistry.Artifact{Body: `{"compatibilities": {"nfd": {"kernel-loadedmodule.nvidia": true}}}`})
	s.Index("module", image)
	images := write(t, "images", s.Reference(":module"))
	classes := toolOK(t, "export", "classes", "--nodes", zenRoot, "--images", images)
	var f fleet
	if err := json.Unmarshal([]byte(classes), &f); err != nil || len(f.Classes) != 1 {
		t.Fatalf("%v: %s", err, classes)
	}
	file := write(t, "classes.json", classes)
	if got := toolOK(t, "facts", "--root", zenRoot, "--class", "--like", file); got != f.Classes[0].ID+"\n" {
		t.Errorf("class %s, want %s", got, f.Classes[0].ID)
	}
	if got := toolOK(t, "facts", "--root", zenRoot, "--class"); got == f.Classes[0].ID+"\n" {
		t.Error("the image asks for nothing that every class has not")
	}
	wantError(t, tool(t, "", "facts", "--root", zenRoot, "--like", file).err, "--like is for --class")
	wantError(t, tool(t, "", "facts", "--root", zenRoot, "--class", "--like", images).err, "export classes")
}

// By facts, nodes have tokens that people can read, and match names those that they have.
func TestMatchAsksByFactsForWhatNodesHave(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{})
	image := func(name, body string) string {
		digest := s.Image("linux/amd64", name)
		s.Attach(digest, fakeregistry.Artifact{Body: `{"compatibilities": {"nfd": {` + body + `}}}`})
		s.Index(name, digest)
		return s.Reference(":" + name)
	}
	module, other := image("module", `"kernel-loadedmodule.nvidia": true`), image("other", `"kernel-loadedmodule.a": true`)
	dir := nodeFiles(t)
	classes := write(t, "classes.json", toolOK(t, "export", "classes", "--nodes", dir, "--images", write(t, "images", module+"\n"), "--by", "facts"))
	match := func(image string, flags ...string) result {
		return tool(t, "", append([]string{"match", image, "-o", "slurm-constraint", "--by", "facts"}, flags...)...)
	}
	const want = "imagefit_amd64&imagefit_kernel.loadedmodule.nvidia\n"
	if got := match(module, "--nodes", classes); got.err != nil || got.stdout != want || got.stderr != "" {
		t.Errorf("%v: %s %s", got.err, got.stdout, got.stderr)
	}
	features := toolOK(t, "export", "slurm", "--nodes", classes)
	if !strings.Contains(features, "NodeName=n3 Features=imagefit_") || !strings.Contains(features, ",imagefit_amd64,imagefit_kernel.loadedmodule.nvidia,imagefit_x86_64_v2,imagefit_x86_64_v3\n") {
		t.Errorf("features\n%s", features)
	}
	if got := toolOK(t, "export", "slurm", "--nodes", classes, "--by", "class"); strings.Contains(got, "amd64") {
		t.Errorf("by class\n%s", got)
	}
	// Nodes were exported before there was this image.
	if got := match(other, "--nodes", classes); strings.Contains(got.stdout, "&") || !strings.Contains(got.stderr, "asked for by class, not by facts: no node has the token imagefit_kernel.loadedmodule.a") {
		t.Errorf("%s %s", got.stdout, got.stderr)
	}
	// What Slurm has counts, not what was exported.
	ids := map[string]string{}
	var f fleet
	text, err := os.ReadFile(classes)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{"n1", "n3"} {
		ids[node] = placement.TokenPrefix + f.Nodes[node]
	}
	show := fmt.Sprintf("NodeName=n1 ActiveFeatures=%s\nNodeName=n3 ActiveFeatures=%s\n", ids["n1"], ids["n3"])
	got := tool(t, show, "match", module, "-o", "slurm-constraint", "--by", "facts", "--nodes", "-", "--nodes", classes)
	if got.err != nil || got.stdout != ids["n3"]+"\n" || !strings.Contains(got.stderr, "asked for by class, not by facts") {
		t.Errorf("%v: %s %s", got.err, got.stdout, got.stderr)
	}
	show = strings.ReplaceAll(show, ids["n3"], ids["n3"]+",imagefit_amd64,imagefit_kernel.loadedmodule.nvidia")
	if got := tool(t, show, "match", module, "-o", "slurm-constraint", "--by", "facts", "--nodes", "-", "--nodes", classes); got.stdout != want {
		t.Errorf("%v: %s %s", got.err, got.stdout, got.stderr)
	}
	wantError(t, match(module, "--nodes", classes, "-o", "nodeaffinity").err, "--by facts is about tokens of Slurm and Flux")
}

// The resource set that a Flux instance has is the base of R and of the graph.
func TestExportFluxKeepsTheResourcesOfTheInstance(t *testing.T) {
	dir := nodeFiles(t)
	const r = `{"version": 1, "execution": {"R_lite": [{"rank": "0-1", "children": {"core": "0-7", "gpu": "0-1"}}, {"rank": "2", "children": {"core": "0-3"}}],
  "starttime": 0, "expiration": 0, "nodelist": ["n[3-5]"], "properties": {"batch": "0-2"}}}`
	got := tool(t, r, "export", "flux", "--nodes", dir, "--format", "R", "--current", "-")
	for _, want := range []string{`"gpu": "0-1"`, `"batch": "0-2"`, `"imagefit_` + classOfLevel(3) + `": "0"`} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%s lacks %s", got.stdout, want)
		}
	}
	if got.err != nil || !strings.Contains(got.stderr, "nothing is known of these nodes, which get no property: n5") {
		t.Errorf("%v: %s", got.err, got.stderr)
	}
	graph := toolOK(t, "export", "flux", "--nodes", dir, "--format", "jgf", "--current", write(t, "R.json", r))
	if n := strings.Count(graph, `"type": "gpu"`); n != 4 {
		t.Errorf("the graph has %d GPUs", n)
	}
	wantError(t, tool(t, "{}", "export", "flux", "--nodes", dir, "--format", "R", "--current", "-").err, "read --current -", "flux resource R")
	wantError(t, tool(t, "", "export", "flux", "--nodes", dir, "--current", "-").err, "config needs no resource set")
	wantError(t, tool(t, "", "export", "flux", "--nodes", dir, "--format", "R", "--current", "-", "--cores", "4").err, "current cores")
}

func TestFactsPrintTheClassOfANode(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	id := strings.TrimSpace(toolOK(t, "facts", "--root", root, "--class"))
	if got := toolOK(t, "facts", "--root", root, "--class", "-o", "labels"); len(id) != 12 || got != "imagefit.dev/class="+id+"\n" {
		t.Errorf("class %q, label %q", id, got)
	}
	var class nodeclass.Class
	if err := json.Unmarshal([]byte(toolOK(t, "facts", "--root", root, "--class", "-o", "json")), &class); err != nil || class.ID != id {
		t.Errorf("class %q, %v", class.ID, err)
	}
}

// onPath puts a shell script of a name before all programs.
func onPath(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// Clusters are read through their own programs, and what is missing there is told.
func TestMatchAsksTheClusterForItsNodes(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{})
	s.Index("levels", s.Image("linux/amd64/v2", "v2"), s.Image("linux/amd64/v3", "v3"))
	nodes := list("List", `{"kind": "Node", "metadata": {"name": "k1"}, "status": {"nodeInfo": {"architecture": "amd64"}}}`)
	features := list("List", nodeFeature("k1", "6.1.2"))
	match := func(source ...string) result {
		return tool(t, "", append([]string{"match", s.Reference(":levels"), "-o", "hostlist", "--nodes"}, source...)...)
	}
	onPath(t, "kubectl", fmt.Sprintf("case \"$*\" in\n'get nodes --output=json') echo '%s' ;;\n'get nodefeatures.nfd.k8s-sigs.io --all-namespaces --output=json') echo '%s' ;;\n*) exit 9 ;;\nesac\n", nodes, features))
	if got := match("@k8s"); got.err != nil || got.stdout != "k1\n" {
		t.Errorf("%v: %q", got.err, got.stdout)
	}
	onPath(t, "kubectl", fmt.Sprintf("[ $2 = nodes ] && echo '%s' && exit\necho 'error: the server does not have a resource type nodefeatures' >&2\nexit 1\n", nodes))
	wantError(t, match("@k8s").err, "run kubectl get nodefeatures", "does not have a resource type", "NFD must run in the cluster")

	dir := nodeFiles(t)
	classes := write(t, "classes.json", toolOK(t, "export", "classes", "--nodes", dir))
	onPath(t, "scontrol", "echo 'NodeName=s1 ActiveFeatures=imagefit_"+classOfLevel(2)+" State=IDLE'\n")
	if got := match("@slurm", "--nodes", classes); got.err != nil || got.stdout != "s1\n" {
		t.Errorf("%v: %q", got.err, got.stdout)
	}
	t.Setenv("PATH", t.TempDir())
	wantError(t, match("@slurm", "--nodes", classes).err, "run scontrol show node --oneliner", "pipe its output into --nodes -")
}
