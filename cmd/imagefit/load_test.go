package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// exported is what "nfd export features" prints, in short.
const exported = `{
 "flags": {"cpu.cpuid": {"elements": {"AVX2": {}, "X86_64_V3": {}}}},
 "attributes": {"kernel.version": {"elements": {"full": "6.18.44-fc-v595", "major": "6", "minor": "18"}}},
 "instances": {"pci.device": {"elements": [{"attributes": {"class": "0600", "vendor": "8086"}}]}}
}`

// nodeFeature is the object that NFD's worker makes for a node.
func nodeFeature(name, full string) string {
	return fmt.Sprintf(`{"apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature",
 "metadata": {"name": %q, "namespace": "nfd", "labels": {"nfd.node.kubernetes.io/node-name": %q}, "annotations": {"a": "b"}},
 "spec": {"labels": {"a": "b"}, "features": {
  "flags": {"cpu.cpuid": {"elements": {"AVX2": {}, "X86_64_V3": {}}}},
  "attributes": {"kernel.version": {"elements": {"full": %q, "major": "6"}}},
  "instances": {"pci.device": {"elements": [{"attributes": {"class": "0600", "vendor": "8086"}}]}}}}}`, name, name, full)
}

// added is a third party's object about a node.
func added(name, node string) string {
	return fmt.Sprintf(`{"kind": "NodeFeature", "metadata": {"name": %q, "labels": {"nfd.node.kubernetes.io/node-name": %q}},
 "spec": {"features": {
  "flags": {"cpu.cpuid": {"elements": {"AMXTILE": {}}}},
  "attributes": {"kernel.version": {"elements": {"full": "9.9.9"}}, "vendor.x": {"elements": {"y": "z"}}},
  "instances": {"pci.device": {"elements": [{"attributes": {"class": "0302", "vendor": "10de"}}]}}}}}`, name, node)
}

func list(kind string, items ...string) string {
	return `{"apiVersion": "v1", "kind": "` + kind + `", "metadata": {"continue": ""}, "items": [` + strings.Join(items, ",") + `]}`
}

const nodeYAML = `apiVersion: nfd.k8s-sigs.io/v1alpha1
kind: NodeFeature
metadata:
  name: node-1
  creationTimestamp: 2026-01-02T03:04:05Z
  generation: 3
spec:
  features:
    flags:
      cpu.cpuid:
        elements: {AVX2: {}, X86_64_V3: {}}
    attributes:
      kernel.version:
        elements: {full: 6.1.2, major: "6"}
    instances:
      pci.device:
        elements:
        - attributes: {class: "0600", vendor: "8086"}
`

func TestLoadFactsReadsEveryForm(t *testing.T) {
	t.Parallel()
	own, err := hostfacts.Collect(t.Context(), hostfacts.NewRoot(zenRoot)).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	ownYAML := toolOK(t, "facts", "--root", zenRoot, "-o", "yaml")
	tests := map[string]struct {
		text, node string
		want       string // of kernel.version full
		arch       string
	}{
		"our own":            {string(own), "", "3.10.0-1160", "amd64"},
		"our own as YAML":    {ownYAML, "", "3.10.0-1160", "amd64"},
		"nfd export":         {exported, "", "6.18.44-fc-v595", "amd64"},
		"NodeFeature":        {nodeFeature("node-1", "6.1.2"), "", "6.1.2", "amd64"},
		"named NodeFeature":  {nodeFeature("node-1", "6.1.2"), "node-1", "6.1.2", "amd64"},
		"NodeFeature YAML":   {nodeYAML, "", "6.1.2", "amd64"},
		"list of one":        {list("NodeFeatureList", nodeFeature("node-1", "6.1.2")), "", "6.1.2", "amd64"},
		"one of a list":      {list("NodeFeatureList", nodeFeature("node-1", "6.1.2"), nodeFeature("node-2", "6.2.0")), "node-2", "6.2.0", "amd64"},
		"list of kubectl":    {list("List", nodeFeature("node-1", "6.1.2"), nodeFeature("node-2", "6.2.0")), "node-1", "6.1.2", "amd64"},
		"list as YAML":       {"kind: List\nitems:\n- " + nodeFeature("node-1", "6.1.2") + "\n", "", "6.1.2", "amd64"},
		"kindless item":      {list("NodeFeatureList", strings.Replace(nodeFeature("node-1", "6.1.2"), `"kind": "NodeFeature",`, "", 1)), "", "6.1.2", "amd64"},
		"several of a node":  {list("List", nodeFeature("node-1", "6.1.2"), added("aaa", "node-1")), "", "9.9.9", "amd64"},
		"the worker's first": {list("List", added("aaa", "node-1"), nodeFeature("node-1", "6.1.2")), "node-1", "9.9.9", "amd64"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, "facts", tt.text)
			if tt.node != "" {
				file += "#" + tt.node
			}
			facts, err := (factsLoader{}).load(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			if got := facts.Lookup("kernel.version", "full").Value; !strings.HasPrefix(got, tt.want) || facts.Arch() != tt.arch {
				t.Errorf("kernel %q, arch %q", got, facts.Arch())
			}
			if strings.Contains(tt.text, "AMXTILE") {
				checkMerged(t, facts)
			}
		})
	}
}

// checkMerged wants what several objects say of one node.
func checkMerged(t *testing.T, known *facts.Facts) {
	t.Helper()
	for set, element := range map[string]string{"cpu.cpuid": "AMXTILE", "vendor.x": "y", "kernel.version": "major"} {
		if got := known.Lookup(set, element); got.State != facts.Present {
			t.Errorf("%s %s is %v", set, element, got.State)
		}
	}
	if got := known.Lookup("cpu.cpuid", "AVX2"); got.State != facts.Present {
		t.Errorf("AVX2 is %v", got.State)
	}
	if n := len(known.Features().Instances["pci.device"]); n != 2 {
		t.Errorf("%d devices", n)
	}
}

func TestLoadFactsReadsStdinFoldersAndSnapshots(t *testing.T) {
	t.Parallel()
	if facts, err := (factsLoader{stdin: strings.NewReader(exported)}).load(t.Context(), "-"); err != nil || facts.Arch() != "amd64" {
		t.Errorf("stdin: %v", err)
	}
	stdin := strings.NewReader(list("List", nodeFeature("a", "1.2.3"), nodeFeature("b", "4.5.6")))
	if facts, err := (factsLoader{stdin: stdin}).load(t.Context(), "-#b"); err != nil || facts.Lookup("kernel.version", "full").Value != "4.5.6" {
		t.Errorf("stdin of several nodes: %v", err)
	}
	if _, err := (factsLoader{}).load(t.Context(), zenRoot); err != nil {
		t.Errorf("directory: %v", err)
	}
	snapshot := filepath.Join(t.TempDir(), "node.tar.gz")
	toolOK(t, "facts", "snapshot", snapshot, "--root", zenRoot)
	if _, err := (factsLoader{}).load(t.Context(), snapshot); err != nil {
		t.Errorf("snapshot: %v", err)
	}
	odd := filepath.Join(t.TempDir(), "a#b")
	if err := os.WriteFile(odd, []byte(exported), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (factsLoader{}).load(t.Context(), odd); err != nil {
		t.Errorf("# in the name: %v", err)
	}
}

func TestLoadFactsSaysWhatIsExpected(t *testing.T) {
	t.Parallel()
	two := list("NodeFeatureList", nodeFeature("node-1", "6.1.2"), strings.ReplaceAll(nodeFeature("node-2", "6.2.0"), "node-2", `node-2\u001b`))
	tests := map[string]struct {
		text, node string
		want       []string
	}{
		"which of two":     {two, "", []string{"there are 2 nodes; pick one with FILE#NODE: node-1, \"node-2\\x1b\""}},
		"none of two":      {two, "node-3", []string{`no node is named "node-3"; there are: node-1`}},
		"empty list":       {list("List"), "", []string{"the list has no items"}},
		"other kind":       {`{"kind": "Pod"}`, "", []string{`kind is "Pod"; expected what`}},
		"other item":       {list("List", nodeFeature("a", "1"), `{"kind": "Node"}`), "", []string{`item 1 is a "Node"; expected`}},
		"no features":      {`{"kind": "NodeFeature", "metadata": {"name": "n"}}`, "", []string{`node "n": expected spec.features`}},
		"number":           {strings.Replace(exported, `"18"`, "18", 1), "", []string{"parse facts: ", "number", "expected what"}},
		"number in a node": {strings.Replace(nodeFeature("n", "1"), `"6"`, "6", 1), "", []string{"row 5, column", "number", "expected what"}},
		"syntax":           {"{\n\"flags\": {,}}", "", []string{"row 2, column 11: ", "expected what"}},
		"YAML syntax":      {"a: b\n c: [", "", []string{"row 2: ", "expected what"}},
		"two documents":    {"a: b\n---\na: b\n", "", []string{"more than one document"}},
		"number in YAML":   {strings.Replace(nodeYAML, `"6"`, "6", 1), "", []string{"node.json: json: ", "number", "expected what"}},
		"YAML list":        {"- a\n", "", []string{"the document is not an object"}},
		"empty":            {" \n", "", []string{"the file is empty; expected what"}},
		"plain and a node": {exported, "node-1", []string{`no list of nodes to find "node-1" in`}},
		"unknown key":      {`{"flgs": {}}`, "", []string{"flgs", "expected what"}},
		"key not a string": {"1: 2\n? [a]\n: b\n", "", []string{"expected what"}},
		"aliases":          {bomb(), "", []string{"expected what"}},
		"too long":         {strings.Repeat(" ", maxFactsFile+1), "", []string{"larger than 33554432 bytes"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, "node.json", tt.text)
			name := file
			if tt.node != "" {
				name += "#" + tt.node
			}
			_, err := (factsLoader{}).load(t.Context(), name)
			wantError(t, err, append(tt.want, file)...)
		})
	}
	for name, want := range map[string]string{
		"/nonexistent/x": "/nonexistent/x", "main.go#": "name of a node is expected", zenRoot + "#n": "holds one node: leave out #n",
	} {
		_, err := (factsLoader{}).load(t.Context(), name)
		wantError(t, err, want)
	}
}

// bomb is a short document whose aliases stand for billions of values.
func bomb() string {
	var text strings.Builder
	text.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := range 12 {
		alias := fmt.Sprintf("*a%d", i)
		fmt.Fprintf(&text, "a%d: &a%d [%s]\n", i+1, i+1, strings.Join([]string{alias, alias, alias, alias, alias, alias, alias, alias, alias}, ", "))
	}
	return text.String()
}

func FuzzParseFacts(f *testing.F) {
	for _, seed := range []string{exported, nodeYAML, nodeFeature("n", "1"), list("List", nodeFeature("n", "1"), added("a", "n")), "a: &a [*a]", "kind: List\nitems: [1]"} {
		f.Add([]byte(seed), "n")
	}
	f.Fuzz(func(t *testing.T, text []byte, node string) {
		facts, err := parseFacts(text, node, "")
		if err == nil && facts == nil {
			t.Error("neither facts nor an error")
		}
	})
}

// TestThisNodeIsWhereTheConfigurationSays: "live" is what the daemons collect, below facts.root.
func TestThisNodeIsWhereTheConfigurationSays(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	reg := fakeregistry.New(t, fakeregistry.Options{})
	reg.Index("1", reg.Image("linux/arm64", "a"), reg.Image("linux/s390x", "b"))
	root, err := filepath.Abs(gravitonRoot)
	if err != nil {
		t.Fatal(err)
	}
	_, config := nodeDir(t, "facts.root = "+strconv.Quote(root))
	needs := write(t, "needs.json", `{"compatibilities": {"io.archspec": {"target": "armv8.2a"}}}`)
	for line, want := range map[string]string{
		"explain " + reg.Reference(":1"):            "linux/arm64",
		"check " + needs:                            "this node meets",
		"match --nodes live " + reg.Reference(":1"): "linux/arm64",
		"facts diff live " + gravitonRoot:           "",
		"create --from-host":                        "armv8.2a",
		"facts -o json":                             "amzn2023.aarch64",
		"export classes --nodes live":               "arm64",
	} {
		got := tool(t, "", append(strings.Fields(line), "--config", config)...)
		if got.err != nil || !strings.Contains(got.stdout, want) {
			t.Errorf("%s: %v, want %q\n%s%s", line, got.err, want, got.stdout, got.stderr)
		}
	}
}
