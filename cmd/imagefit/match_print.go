package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/placement/hostlist"
)

// matrix is images on classes of nodes.
type matrix struct {
	Images []matchedImage `json:"images"`
	// Together is for all images as those of one job; left out where one is not known.
	Together []matchedClass `json:"together,omitempty"`
}

type matchedImage struct {
	Image   string         `json:"image"` // as it was asked for
	Error   string         `json:"error,omitempty"`
	Classes []matchedClass `json:"classes,omitempty"`
}

type matchedClass struct {
	Class string   `json:"class"`
	Nodes []string `json:"nodes"`
	placement.Verdict
}

func matrixOf(images []gathered, rows []placement.Row, nodes *fleet) *matrix {
	m, members := &matrix{}, nodes.members()
	classes := func(verdicts []placement.Verdict) []matchedClass {
		all := make([]matchedClass, len(verdicts))
		for i, v := range verdicts {
			all[i] = matchedClass{nodes.Classes[i].ID, members[nodes.Classes[i].ID], v}
		}
		return all
	}
	next := 0
	for _, g := range images {
		image := matchedImage{Image: g.reference}
		if g.err != nil {
			image.Error = oneLine(g.err.Error())
		} else {
			image.Classes = classes(rows[next].Verdicts)
			next++
		}
		m.Images = append(m.Images, image)
	}
	if len(images) > 1 && next == len(images) {
		m.Together = classes(placement.Pod(rows))
	}
	return m
}

func (m *matrix) table(b *cli.Console) {
	const most = 40 // of the characters of a host list
	table := b.Table()
	fmt.Fprintln(table, "IMAGE\tCLASS\tNODES\tVERDICT\tRANK\tVARIANT\tREASON")
	for _, image := range m.Images {
		name := printable(image.Image)
		if image.Error != "" {
			fmt.Fprintf(table, "%s\t-\t-\t%s\t-\t-\t%s\n", name, b.Paint(cli.Bad, "error"), printable(image.Error))
		}
		for _, c := range image.Classes {
			rank, variant := "-", "-"
			if c.Rank > 0 {
				rank = strconv.Itoa(c.Rank)
			}
			if c.Digest != "" {
				variant = strings.TrimSpace(c.Platform + " " + shortDigest(c.Digest))
			}
			hosts := hostlist.Format(c.Nodes)
			if len(hosts) > most {
				hosts = strconv.Itoa(len(c.Nodes)) + " nodes"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, c.Class, hosts, b.Paint(styleOf(c.Outcome.String()), c.Outcome.String()), rank, variant, printable(c.Reason))
			name = ""
		}
	}
	table.Flush()
}

func (m *matrix) csv(b *cli.Console) {
	w := csv.NewWriter(b)
	_ = w.Write([]string{"image", "node", "class", "verdict", "rank", "digest", "platform", "reason"})
	for _, image := range m.Images {
		if image.Error != "" {
			_ = w.Write([]string{image.Image, "", "", "error", "", "", "", image.Error})
		}
		for _, c := range image.Classes {
			for _, node := range c.Nodes {
				_ = w.Write([]string{image.Image, node, c.Class, c.Outcome.String(), strconv.Itoa(c.Rank), c.Digest.String(), c.Platform, c.Reason})
			}
		}
	}
	w.Flush() // a Builder takes all
}

// Terms of a node affinity.
type (
	affinity struct {
		NodeAffinity struct {
			Required  *nodeSelector `yaml:"requiredDuringSchedulingIgnoredDuringExecution,omitempty"`
			Preferred []preference  `yaml:"preferredDuringSchedulingIgnoredDuringExecution,omitempty"`
		} `yaml:"nodeAffinity"`
	}
	nodeSelector struct {
		Terms []selectorTerm `yaml:"nodeSelectorTerms"`
	}
	selectorTerm struct {
		Expressions []expression `yaml:"matchExpressions"`
	}
	expression struct {
		Key      string   `yaml:"key"`
		Operator string   `yaml:"operator"`
		Values   []string `yaml:"values"`
	}
	preference struct {
		Weight     int          `yaml:"weight"`
		Preference selectorTerm `yaml:"preference"`
	}
)

// nodeAffinity writes the affinity of a pod: not on classes that do not fit, so that a
// node without a label is no obstacle; or, if strict, on those that fit.
func nodeAffinity(w io.Writer, a placement.Answer, strict bool) error {
	const bestWeight = 100
	var out affinity
	class := func(operator string, ids []string) selectorTerm {
		return selectorTerm{[]expression{{nodeclass.Label, operator, ids}}}
	}
	switch {
	case strict && len(a.Usable) > 0:
		out.NodeAffinity.Required = &nodeSelector{[]selectorTerm{class("In", a.Usable)}}
	case strict:
		out.NodeAffinity.Required = &nodeSelector{[]selectorTerm{class("In", []string{"none"})}}
	case len(a.Unfit) > 0:
		out.NodeAffinity.Required = &nodeSelector{[]selectorTerm{class("NotIn", a.Unfit)}}
	}
	if len(a.Best) > 0 {
		out.NodeAffinity.Preferred = []preference{{bestWeight, class("In", a.Best)}}
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(out); err != nil {
		return err
	}
	return encoder.Close()
}
