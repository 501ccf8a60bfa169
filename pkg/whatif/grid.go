package whatif

import (
	"encoding/csv"
	"io"
	"iter"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/selector"
)

// Grid is images by hosts.
type Grid struct {
	Images   []string
	Hosts    []string
	Compares bool // hosts before a change with the same hosts after it

	of    []int    // the column of each host
	cells [][]Cell // by image and column
}

// Cell is what becomes of an image on a host.
type Cell struct {
	Outcome  selector.Outcome `json:"verdict"`
	Platform string           `json:"variant,omitempty"` // that would be chosen
	Digest   digest.Digest    `json:"digest,omitempty"`
	Reason   string           `json:"reason"`
	Failing  []Failing        `json:"failing,omitempty"` // requirements that are not known to be met
	// Before is what it was before the change, in a grid that compares.
	Before *State `json:"before,omitempty"`
}

// State is an outcome and the variant that goes with it.
type State struct {
	Outcome  selector.Outcome `json:"verdict"`
	Platform string           `json:"variant,omitempty"`
	Digest   digest.Digest    `json:"digest,omitempty"`
}

// Failing is a requirement of a variant that is not met, or not known to be.
type Failing struct {
	Variant string `json:"variant"`
	Want    string `json:"want"`
	Have    string `json:"have"`
}

// Changed reports whether the change makes a difference.
func (c *Cell) Changed() bool {
	return c.Before != nil && *c.Before != (State{c.Outcome, c.Platform, c.Digest})
}

// Worse reports whether the change makes an image fit less well on the host.
func (c *Cell) Worse() bool {
	rank := map[selector.Outcome]int{selector.Unfit: 0, selector.Unknown: 1, selector.Fits: 2}
	return c.Before != nil && rank[c.Outcome] < rank[c.Before.Outcome]
}

// Cell returns what becomes of an image on a host.
func (g *Grid) Cell(image, host int) *Cell { return &g.cells[image][g.of[host]] }

// Entry is one image on one host. Its JSON names are stable.
type Entry struct {
	Image string `json:"image"`
	Host  string `json:"host"`
	*Cell
}

// Entries yields all images on all hosts.
func (g *Grid) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i, image := range g.Images {
			for h, host := range g.Hosts {
				if !yield(Entry{image, host, g.Cell(i, h)}) {
					return
				}
			}
		}
	}
}

// Group is an image on the hosts on which the same becomes of it, for want of the same.
// The cell is that of the first of them.
type Group struct {
	Image string
	Hosts []string
	*Cell
}

// Groups returns the groups of each image, in the order of the hosts.
func (g *Grid) Groups() []Group {
	type key struct {
		state, before State
		why           string
	}
	var groups []Group
	for i, image := range g.Images {
		places := map[key]int{}
		for h, host := range g.Hosts {
			c := g.Cell(i, h)
			k := key{state: State{c.Outcome, c.Platform, c.Digest}, why: c.why()}
			if c.Before != nil {
				k.before = *c.Before
			}
			at, seen := places[k]
			if !seen {
				at = len(groups)
				places[k] = at
				groups = append(groups, Group{Image: image, Cell: c})
			}
			groups[at].Hosts = append(groups[at].Hosts, host)
		}
	}
	return groups
}

// why is what keeps an image from fitting, whatever the host has instead.
func (c *Cell) why() string {
	if len(c.Failing) == 0 {
		return c.Reason
	}
	var wants strings.Builder
	for _, f := range c.Failing {
		wants.WriteString(f.Variant + "\x00" + f.Want + "\x00")
	}
	return wants.String()
}

// Counts are numbers of cells.
type Counts struct {
	Fits    int `json:"fits"`
	Unknown int `json:"unknown"`
	Unfit   int `json:"unfit"`
	Changed int `json:"changed"`
	Worse   int `json:"worse"`
}

// Counts counts the cells.
func (g *Grid) Counts() (n Counts) {
	for e := range g.Entries() {
		switch e.Outcome {
		case selector.Fits:
			n.Fits++
		case selector.Unfit:
			n.Unfit++
		default:
			n.Unknown++
		}
		if e.Changed() {
			n.Changed++
		}
		if e.Worse() {
			n.Worse++
		}
	}
	return n
}

// WriteCSV writes one row for each image on each host.
func (g *Grid) WriteCSV(w io.Writer) error {
	rows := csv.NewWriter(w)
	head := []string{"image", "host", "verdict", "variant", "digest", "reason"}
	if g.Compares {
		head = append(head, "verdict_before", "variant_before", "digest_before")
	}
	_ = rows.Write(head) // an error of it comes with Error
	for e := range g.Entries() {
		row := []string{e.Image, e.Host, e.Outcome.String(), e.Platform, e.Digest.String(), e.Reason}
		if g.Compares {
			row = append(row, e.Before.Outcome.String(), e.Before.Platform, e.Before.Digest.String())
		}
		for i := range row {
			row[i] = inert(row[i])
		}
		_ = rows.Write(row)
	}
	rows.Flush()
	return rows.Error()
}

// inert keeps a spreadsheet from taking a text for a formula.
func inert(text string) string {
	if text != "" && (text[0] == '=' || text[0] == '+' || text[0] == '-' || text[0] == '@' || text[0] == '\t' || text[0] == '\r') {
		return "'" + text
	}
	return text
}
