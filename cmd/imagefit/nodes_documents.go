package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement/slurm"
)

// documents reads JSON documents one after the other, the output of scontrol, or YAML.
func (r *fleetReader) documents(name string, from io.Reader) error {
	in := bufio.NewReaderSize(from, 64<<10)
	head, _ := in.Peek(1024) // what cannot be read is an error below
	switch head = bytes.TrimLeft(head, " \t\r\n"); {
	case bytes.HasPrefix(head, []byte("NodeName=")):
		text, err := io.ReadAll(io.LimitReader(in, maxFactsFile))
		r.slurm = append(r.slurm, slurm.ParseNodes(string(text))...)
		return err
	case len(head) == 0 || head[0] != '{':
		text, err := readBounded("-", in, maxFactsFile)
		if err != nil {
			return err
		}
		return r.yaml(name, text)
	}
	decoder := json.NewDecoder(in)
	for {
		if err := r.document(name, decoder); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// yaml reads the documents of a YAML file.
func (r *fleetReader) yaml(name string, text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("the file is empty; " + wantFacts)
	}
	documents, err := yamlDocuments(text)
	for i := 0; i < len(documents) && err == nil; i++ {
		err = r.document(name, json.NewDecoder(bytes.NewReader(documents[i])))
	}
	return err
}

// document reads one document. The items of a list are not in memory at once.
func (r *fleetReader) document(name string, decoder *json.Decoder) error {
	if _, err := decoder.Token(); err != nil {
		return err
	}
	rest, items := map[string]json.RawMessage{}, false
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		if items = items || key == "items"; key == "items" {
			if err := r.items(decoder); err != nil {
				return err
			}
			continue
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return fmt.Errorf("%w; %s", err, wantFacts)
		}
		if size := len(rest); size < 1000 {
			rest[fmt.Sprint(key)] = value
		}
	}
	if _, err := decoder.Token(); err != nil {
		return fmt.Errorf("%w; %s", err, wantFacts)
	}
	if items {
		return nil
	}
	text, err := json.Marshal(rest)
	if err != nil {
		return err
	}
	return r.single(name, text, rest)
}

// items reads the list of NodeFeature or Node objects that kubectl prints.
func (r *fleetReader) items(decoder *json.Decoder) error {
	if open, err := decoder.Token(); err != nil || open != json.Delim('[') {
		return fmt.Errorf("items: expected a list; %s", wantFacts)
	}
	for n := 0; decoder.More(); n++ {
		var o object
		if err := decoder.Decode(&o); err != nil {
			return fmt.Errorf("item %d: %w; %s", n, err, wantFacts)
		}
		switch {
		case o.Kind == "Node":
			r.archs[o.Metadata.Name] = o.Status.NodeInfo.Architecture
		case o.Kind != "NodeFeature" && o.Kind != "":
			return fmt.Errorf("item %d is a %.64q; %s", n, o.Kind, wantFacts)
		default:
			r.keep(o)
		}
	}
	_, err := decoder.Token()
	return err
}

// keep keeps what classes have of a NodeFeature object.
func (r *fleetReader) keep(o object) {
	o.Trim(r.asked)
	r.features[o.Node()] = append(r.features[o.Node()], o)
}

// single reads a document that is not a list: a fleet, a class, a NodeFeature object, or
// the facts of a node.
func (r *fleetReader) single(name string, text []byte, keys map[string]json.RawMessage) error {
	switch {
	case keys["classes"] != nil && keys["nodes"] != nil:
		var read fleet
		if err := json.Unmarshal(text, &read); err != nil {
			return err
		}
		return r.addFleet(read, name)
	case keys["class"] != nil:
		var class nodeclass.Class
		if err := json.Unmarshal(text, &class); err != nil {
			return err
		}
		r.byID[class.ID] = class
		return r.named(class.ID, name, class.ID)
	case keys["spec"] != nil:
		var o object
		if err := json.Unmarshal(text, &o); err != nil {
			return fmt.Errorf("%w; %s", err, wantFacts)
		}
		if o.Kind != "NodeFeature" {
			return fmt.Errorf("kind is %.64q; %s", o.Kind, wantFacts)
		}
		r.keep(o)
		return nil
	}
	known, err := parseFacts(text, "", r.loader.arch)
	if err != nil {
		return err
	}
	return r.node(nameOfNode(known, name), name, known)
}

// addFleet adds classes as they were exported: their IDs are those that a scheduler has.
func (r *fleetReader) addFleet(read fleet, source string) error {
	for _, class := range read.Classes {
		r.byID[class.ID] = class
	}
	if r.fleet.Tokens == nil {
		r.fleet.Tokens = read.Tokens
	} else {
		maps.Copy(r.fleet.Tokens, read.Tokens)
	}
	for name, id := range read.Nodes {
		if err := r.named(name, source, id); err != nil {
			return err
		}
	}
	return nil
}
