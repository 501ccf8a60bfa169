package catalog

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"
)

// Exported is a variant under one name, with what it needs.
type Exported struct {
	Row

	Requirements []ExportedAttribute `json:"requirements,omitempty"`
	Artifacts    []ExportedArtifact  `json:"applying,omitempty"`
}

// ExportedAttribute is an attribute of a variant.
type ExportedAttribute struct {
	Key        string `json:"key"`
	Op         string `json:"op"`
	Value      string `json:"value,omitempty"`
	Importance string `json:"importance"`
}

// ExportedArtifact is an artifact that applies to a variant, with its body.
type ExportedArtifact struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type"`
	Dialect   string `json:"dialect,omitempty"`
	Digest    string `json:"digest,omitempty"` // of the body
	Body      any    `json:"body,omitempty"`   // JSON as it is, else a text
	Problem   string `json:"problem,omitempty"`
}

// exportSet is what a set of artifacts comes to.
type exportSet struct {
	attributes []ExportedAttribute
	artifacts  []ExportedArtifact
}

func importanceName(importance int) string {
	return [...]string{"required", "preferred", "informative", "excluded", "stated"}[importance]
}

// Export calls a function for every variant that an expression describes.
func (c *Catalog) Export(ctx context.Context, e *Expression, each func(x *Exported) error) error {
	rows, err := c.Query(ctx, e, 0)
	if err != nil {
		return err
	}
	sets, err := c.exportSets(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		x := &Exported{Row: r}
		if set := sets[r.needs]; set != nil {
			x.Requirements, x.Artifacts = set.attributes, set.artifacts
		}
		if err := each(x); err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) exportSets(ctx context.Context) (map[int64]*exportSet, error) {
	sets := map[int64]*exportSet{}
	of := func(id int64) *exportSet {
		if sets[id] == nil {
			sets[id] = &exportSet{}
		}
		return sets[id]
	}
	err := c.each(ctx, func(scan func(...any) error) error {
		var id int64
		var a ExportedArtifact
		var text []byte
		var problem string
		if err := scan(&id, &a.Type, &a.MediaType, &a.Dialect, &a.Digest, &text, &a.Problem, &problem); err != nil {
			return err
		}
		if a.Problem == "" {
			a.Problem = problem
		}
		if json.Valid(text) {
			a.Body = json.RawMessage(text)
		} else if len(text) > 0 && utf8.Valid(text) {
			a.Body = string(text)
		}
		of(id).artifacts = append(of(id).artifacts, a)
		return nil
	}, "SELECT n.needs, k.artifact, k.layer, COALESCE(b.dialect, ''), COALESCE(b.digest, ''), b.text, n.problem, COALESCE(b.problem, '') FROM need n "+
		"JOIN kind k ON k.id = n.kind LEFT JOIN body b ON b.id = n.body ORDER BY n.needs, n.position")
	if err != nil {
		return nil, err
	}
	err = c.each(ctx, func(scan func(...any) error) error {
		var id int64
		var importance int
		var a ExportedAttribute
		err := scan(&id, &a.Key, &a.Op, &a.Value, &importance)
		a.Importance = importanceName(importance)
		of(id).attributes = append(of(id).attributes, a)
		return err
	}, "SELECT n.needs, a.key, a.op, a.value, a.importance FROM need n JOIN attribute a ON a.body = n.body ORDER BY n.needs, n.position, a.position")
	return sets, err
}

// WriteJSONLines writes one variant a line.
func (c *Catalog) WriteJSONLines(ctx context.Context, e *Expression, w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return c.Export(ctx, e, func(x *Exported) error { return encoder.Encode(x) })
}

// WriteCSV writes one attribute of a variant a row, and a variant without one in a row of
// its own.
func (c *Catalog) WriteCSV(ctx context.Context, e *Expression, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"name", "digest", "platform", "variant", "key", "op", "value", "importance"}); err != nil {
		return err
	}
	err := c.Export(ctx, e, func(x *Exported) error {
		all := x.Requirements
		if len(all) == 0 {
			all = []ExportedAttribute{{}}
		}
		for _, a := range all {
			if err := out.Write([]string{x.Name, x.Digest.String(), x.Platform, x.Variant.String(), a.Key, a.Op, a.Value, a.Importance}); err != nil {
				return err
			}
		}
		return nil
	})
	out.Flush()
	if err != nil {
		return err
	}
	return out.Error()
}

// PredicateType is that of the statements that WriteInToto writes.
const PredicateType = "https://imagefit.dev/compatibility/v1"

// WriteInToto writes one in-toto statement a line, for each variant with artifacts: what
// applies to the manifest, for databases of provenance.
func (c *Catalog) WriteInToto(ctx context.Context, e *Expression, w io.Writer) error {
	type subject struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return c.Export(ctx, e, func(x *Exported) error {
		if len(x.Artifacts) == 0 {
			return nil
		}
		algorithm, hex, _ := strings.Cut(x.Variant.String(), ":")
		return encoder.Encode(struct {
			Type          string    `json:"_type"`
			Subject       []subject `json:"subject"`
			PredicateType string    `json:"predicateType"`
			Predicate     any       `json:"predicate"`
		}{
			"https://in-toto.io/Statement/v1", []subject{{x.Name, map[string]string{algorithm: hex}}}, PredicateType,
			map[string]any{"platform": x.Platform, "artifacts": x.Artifacts, "requirements": x.Requirements},
		})
	})
}
