package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// AnnotationPreference is Proposal A: an annotation of an index entry that the
// operator of this node prefers.
type AnnotationPreference struct {
	Key    string
	Value  string // empty is any value
	Weight int
}

// EntryRequirements returns what an index entry itself asks for, beyond os,
// architecture and variant, without another request to the registry:
//
//   - annotations that the operator prefers (Proposal A)
//   - platform.features (Proposal E): all are required. Of one that nobody knows it
//     is unknown whether the node has it: docker's manifest lists had names of
//     their own here, such as sse4, and no runtime ever looked at them
//   - platform.compatibilities (Proposal H)
//   - os.features and os.version
//
// The platform is the raw object of the descriptor, for image-spec's type has
// not all of these keys; it may be empty.
func EntryRequirements(in *spec.Interpreter, platform json.RawMessage, annotations map[string]string, prefs []AnnotationPreference) ([]compat.Requirement, error) {
	reqs := preferred(annotations, prefs)
	if len(platform) == 0 {
		return reqs, nil
	}
	root, err := document.ParseJSON(platform)
	if err != nil {
		return nil, fmt.Errorf("read platform: %w", err)
	}
	e := &entry{in: in, os: root.Field("os").Text(), arch: root.Field("architecture").Text()}
	if err := root.Each("the platform", e.member); err != nil {
		return nil, fmt.Errorf("read platform: %w", err)
	}
	return append(reqs, e.reqs...), nil
}

// preferred makes a requirement that holds of every preference that the
// annotations meet.
func preferred(annotations map[string]string, prefs []AnnotationPreference) []compat.Requirement {
	var reqs []compat.Requirement
	for _, p := range prefs {
		value, ok := annotations[p.Key]
		if !ok || p.Value != "" && p.Value != value {
			continue
		}
		name := textutil.Short("annotation " + p.Key + "=" + value)
		reqs = append(reqs, compat.Requirement{Key: name, Title: name, Combine: compat.AllOf, Importance: compat.Preferred, Weight: p.Weight})
	}
	return reqs
}

type entry struct {
	in       *spec.Interpreter
	os, arch string
	reqs     []compat.Requirement
}

func (e *entry) member(key, value *document.Node) error {
	switch key.Value {
	case "features":
		return e.each(value, "features", e.feature)
	case "os.features":
		return e.each(value, "os.features", e.osFeature)
	case "os.version":
		return e.osVersion(value)
	case "compatibilities":
		if len(value.Members()) == 0 && value.Kind == document.List {
			return nil // as if it were not there
		}
		sets, err := flatSets(e.in, value)
		for i := range sets {
			sets[i].Key = "platform/compatibilities"
		}
		e.reqs = append(e.reqs, sets...)
		return err
	default: // what image-spec defines, and what others add
		return nil
	}
}

const maxFeatures = 1_000

func (e *entry) each(n *document.Node, what string, one func(name string) compat.Requirement) error {
	list, err := n.AsList(what)
	if err != nil {
		return err
	}
	if len(list) > maxFeatures {
		return n.Errorf("more than %d %s", maxFeatures, what)
	}
	for _, m := range list {
		name, err := m.AsText("a member of " + what)
		if err != nil {
			return err
		}
		e.reqs = append(e.reqs, one(name))
	}
	return nil
}

// feature is one of Proposal E: a flag of the CPU under the name that Go's
// golang.org/x/sys/cpu has, in lower case.
func (e *entry) feature(name string) compat.Requirement {
	req := compat.Requirement{Key: "platform/features " + textutil.Short(name), Set: "cpu.cpuid"}
	flags, ok := cpuFeature(e.arch, strings.ToLower(name))
	if !ok {
		return req.Unclearf("no feature of that name is known for %s", textutil.Quote(e.arch))
	}
	for _, flag := range flags {
		req.Terms = append(req.Terms, compat.Term{Element: flag, Op: compat.Exists})
	}
	return req
}

func (e *entry) osFeature(name string) compat.Requirement {
	reqs := e.in.Requirements([]compat.Attribute{{Group: "os.features", Key: name, Value: "true", Kind: compat.Bool}})
	req := reqs[0]
	req.Key = "platform/os.features " + textutil.Short(name)
	if req.Unclear != "" {
		req.Unclear = "no compatibility spec knows this os feature"
	}
	return req
}

// osVersion is what the image was built for. On Linux it is not defined what it
// is a version of, so it is informative; on Windows it must be the kernel's.
func (e *entry) osVersion(n *document.Node) error {
	version, err := n.AsText("os.version")
	if err != nil || version == "" {
		return err
	}
	req := compat.Requirement{Key: "platform/os.version " + textutil.Short(version)}
	if e.os != "windows" {
		req.Importance = compat.Informative
	}
	e.reqs = append(e.reqs, req.Unclearf("what os.version means is not defined for %s", textutil.Quote(e.os)))
	return nil
}

// CompatDescriptor is platform.compat of Proposal J: the blob in which an index
// entry says what it needs.
type CompatDescriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// EntryCompat returns the descriptor of Proposal J that the platform of an
// index entry has. Its blob is of the dialect "proposal-j".
func EntryCompat(platform json.RawMessage) (CompatDescriptor, bool, error) {
	var p struct {
		Compat *CompatDescriptor `json:"compat"`
	}
	if len(platform) == 0 {
		return CompatDescriptor{}, false, nil
	}
	if err := json.Unmarshal(platform, &p); err != nil {
		return CompatDescriptor{}, false, fmt.Errorf("read platform: %w", err)
	}
	switch {
	case p.Compat == nil:
		return CompatDescriptor{}, false, nil
	case !slices.Contains([]string{LayerTypeCompatibilities, LayerTypeOutline}, p.Compat.MediaType):
		return CompatDescriptor{}, false, fmt.Errorf("read platform: compat has the media type %s, not %s", textutil.Quote(p.Compat.MediaType), LayerTypeCompatibilities)
	case p.Compat.Digest == "" || p.Compat.Size <= 0:
		return CompatDescriptor{}, false, errors.New("read platform: compat needs digest and size")
	}
	return *p.Compat, true, nil
}
