package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/nodefeature"
)

// wantFacts is what a file with facts may hold, for errors.
const wantFacts = `expected what "imagefit facts -o json" or "nfd export features" prints, or a NodeFeature, NodeFeatureList or List of Kubernetes, as JSON or YAML`

// parseFacts reads facts in any of the forms.
func parseFacts(written []byte, node, arch string) (*facts.Facts, error) {
	text, err := toJSON(written)
	if what := otherFile(written, text); what != "" {
		return nil, fmt.Errorf("it is %s; %s", what, wantFacts)
	}
	if err != nil {
		return nil, err
	}
	var head object
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("%w; %s", at(written, text, err), wantFacts)
	}
	switch head.Kind {
	case "":
		if node != "" {
			return nil, fmt.Errorf("no list of nodes to find %q in; %s", node, wantFacts)
		}
		facts, err := hostfacts.ParseFor(bytes.NewReader(text), arch)
		if err != nil {
			return nil, fmt.Errorf("%w; %s", at(written, text, err), wantFacts)
		}
		return facts, nil
	case "NodeFeature":
		return nodeFacts([]object{head}, node, arch)
	case "NodeFeatureList", "List":
		return nodeFacts(head.Items, node, arch)
	default:
		return nil, fmt.Errorf("kind is %.64q; %s", head.Kind, wantFacts)
	}
}

// otherFile says what a file is that people give in place of one with facts, "" for
// anything else. text is the same as JSON, where it is that.
func otherFile(written, text []byte) string {
	var root map[string]json.RawMessage
	if bytes.IndexByte(written[:min(len(written), 1024)], 0) >= 0 {
		return "a program or another binary file, not facts"
	}
	if json.Unmarshal(text, &root) != nil {
		return ""
	}
	for _, known := range []struct{ key, what string }{
		{"compatibilities", `what an image needs, not the facts of a node: "imagefit check" reads it`},
		{"variants", `the variants of a Python package, not the facts of a node: "imagefit convert" reads it`},
		{"manifests", "the index of an image, not the facts of a node"},
		{"layers", "the manifest of an image or artifact, not the facts of a node"},
		{"candidates", `what "imagefit explain -o json" printed, not the facts of a node`},
		{"rootfs", "the config of an image, not the facts of a node"},
	} {
		if root[known.key] != nil {
			return known.what
		}
	}
	return ""
}

// toJSON turns YAML into JSON. What begins like JSON is left alone: YAML would
// take a comma too many.
func toJSON(text []byte) ([]byte, error) {
	start := bytes.TrimLeft(text, " \t\r\n")
	if len(start) == 0 {
		return nil, errors.New("the file is empty; " + wantFacts)
	}
	if start[0] == '{' {
		return text, nil
	}
	documents, err := yamlDocuments(text)
	switch {
	case err != nil:
		return nil, err
	case len(documents) > 1:
		return nil, errors.New("there is more than one document; " + wantFacts)
	}
	return documents[0], nil
}

// yamlDocuments turns each YAML document of a text into JSON. There is at least one.
func yamlDocuments(text []byte) (all [][]byte, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var content any
		if err := decoder.Decode(&content); errors.Is(err, io.EOF) && len(all) > 0 {
			return all, nil
		} else if err != nil { // refuses aliases that grow
			return nil, fmt.Errorf("%w; %s", document.YAMLError(err), wantFacts)
		}
		if _, ok := content.(map[string]any); !ok {
			return nil, errors.New("the document is not an object; " + wantFacts)
		}
		converted, err := json.Marshal(content)
		if err != nil {
			return nil, fmt.Errorf("%w; %s", err, wantFacts)
		}
		all = append(all, converted)
	}
}

// at adds the row and column to an error of JSON that knows its place, unless the
// text was made from YAML.
func at(written, text []byte, err error) error {
	if !bytes.Equal(written, text) {
		return err
	}
	offset := int64(-1)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = kind.Offset
	}
	if offset < 1 || offset > int64(len(text)) {
		return err
	}
	return document.ErrorAt(text, int(offset)-1, err)
}

// object is a NodeFeature or a Node of Kubernetes, or a list of them, as far as it matters.
type object struct {
	nodefeature.Object

	Status struct {
		NodeInfo struct {
			Architecture string `json:"architecture"`
		} `json:"nodeInfo"`
	} `json:"status"` // of a Node
	Items []object `json:"items"`
}

// nodeFacts merges the NodeFeature objects of one node. With no name there must
// be one node only.
func nodeFacts(objects []object, node, arch string) (*facts.Facts, error) {
	byNode := map[string][]nodefeature.Object{}
	for i, o := range objects {
		if o.Kind != "NodeFeature" && o.Kind != "" { // items of a NodeFeatureList may leave it out
			return nil, fmt.Errorf("item %d is a %.64q; %s", i, o.Kind, wantFacts)
		}
		byNode[o.Node()] = append(byNode[o.Node()], o.Object)
	}
	names := slices.Sorted(maps.Keys(byNode))
	switch {
	case len(names) == 0:
		return nil, errors.New("the list has no items; expected a NodeFeature")
	case node == "" && len(names) > 1:
		return nil, fmt.Errorf("there are %d nodes; pick one with FILE#NODE: %s", len(names), namesOf(names))
	case node == "":
		node = names[0]
	}
	if len(byNode[node]) == 0 {
		return nil, fmt.Errorf("no node is named %q; there are: %s", node, namesOf(names))
	}
	facts, err := nodefeature.Facts(byNode[node], arch)
	if err != nil {
		return nil, fmt.Errorf("node %q: %w", node, err)
	}
	return facts, nil
}

func namesOf(names []string) string {
	const most = 16
	var words []string
	for _, name := range names[:min(len(names), most)] {
		words = append(words, printable(name))
	}
	if len(names) > most {
		words = append(words, fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(words, ", ")
}
