package flux

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/placement/hostlist"
)

// Config returns the [[resource.config]] tables that give nodes their properties, to add
// to those that tell their cores. The nodes are those of each class.
func Config(nodes map[string][]string, tokens placement.Tokens) string {
	var b strings.Builder
	for i, id := range slices.Sorted(maps.Keys(nodes)) {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "[[resource.config]]\nhosts = %q\nproperties = [", hostlist.Format(nodes[id]))
		for at, token := range tokens.Of(id) {
			if at > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%q", token)
		}
		b.WriteString("]\n")
	}
	return b.String()
}

// SetProperties returns the calls that give running nodes their properties.
func SetProperties(nodes map[string][]string, tokens placement.Tokens) string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		for _, token := range tokens.Of(id) {
			b.WriteString("flux ion-resource set-property")
			for _, name := range slices.Sorted(slices.Values(nodes[id])) {
				b.WriteString(" /cluster0/" + name)
			}
			b.WriteString(" " + token + "=1\n")
		}
	}
	return b.String()
}

// R is a resource set of RFC 20.
type R struct {
	Version    int             `json:"version"`
	Execution  Execution       `json:"execution"`
	Scheduling json.RawMessage `json:"scheduling,omitempty"` // the graph of a scheduler
	Attributes json.RawMessage `json:"attributes,omitempty"`
}

// Execution is the part of a resource set that execution needs.
type Execution struct {
	Lite       []Lite            `json:"R_lite"`
	StartTime  float64           `json:"starttime"`
	Expiration float64           `json:"expiration"`
	NodeList   []string          `json:"nodelist"`
	Properties map[string]string `json:"properties,omitempty"` // idsets of ranks
}

// Lite is what several ranks have.
type Lite struct {
	Rank     string            `json:"rank"`
	Children map[string]string `json:"children"`
}

// Whole returns the resource set of nodes that have so many cores each, in the order of
// their names.
func Whole(nodes map[string][]string, cores int) *R {
	names := inOrder(nodes)
	r := &R{Version: 1, Execution: Execution{NodeList: []string{hostlist.Format(names)}}}
	if len(names) > 0 {
		r.Execution.Lite = []Lite{{Rank: idset(sequence(len(names))), Children: map[string]string{"core": idset(sequence(cores))}}}
	}
	return r
}

// Read reads a resource set, such as "flux resource R" prints.
func Read(text []byte) (*R, error) {
	r := &R{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, err
	}
	switch {
	case r.Version != 1 || len(r.Execution.Lite) == 0:
		return nil, errors.New(`it is not a resource set of version 1 (RFC 20) with an "execution"`)
	case len(r.Scheduling) > 0:
		return nil, errors.New("it has a graph of a scheduler, whose nodes have properties of their own: change the running instance, with --format set-property")
	}
	_, err := r.hosts()
	return r, err
}

// host is a node of a resource set.
type host struct {
	name     string
	rank     int
	children map[string]string
}

// maxHosts bounds the nodes of a resource set.
const maxHosts = 1 << 20

// hosts returns the nodes by their ranks.
func (r *R) hosts() ([]host, error) {
	names, err := hostlist.Parse(strings.Join(r.Execution.NodeList, ","))
	if err != nil {
		return nil, fmt.Errorf("nodelist: %w", err)
	}
	var hosts []host
	for _, lite := range r.Execution.Lite {
		ranks, err := parseIdset(lite.Rank, maxHosts)
		if err != nil {
			return nil, fmt.Errorf("rank: %w", err)
		}
		for _, rank := range ranks {
			hosts = append(hosts, host{rank: rank, children: lite.Children})
		}
	}
	if len(hosts) != len(names) {
		return nil, fmt.Errorf("it has %d ranks and %d names of nodes", len(hosts), len(names))
	}
	slices.SortStableFunc(hosts, func(a, b host) int { return a.rank - b.rank })
	for i := range hosts {
		hosts[i].name = names[i]
	}
	return hosts, nil
}

// SetProperties gives the nodes their properties; those that others gave them stay. It
// returns the nodes of the resource set of which nothing is known.
func (r *R) SetProperties(nodes map[string][]string, tokens placement.Tokens) (unknown []string, err error) {
	hosts, err := r.hosts()
	if err != nil {
		return nil, err
	}
	classOf, ranks := classes(nodes), map[string][]int{}
	for _, h := range hosts {
		id, known := classOf[h.name]
		if !known {
			unknown = append(unknown, h.name)
			continue
		}
		for _, token := range tokens.Of(id) {
			ranks[token] = append(ranks[token], h.rank)
		}
	}
	properties := maps.Clone(r.Execution.Properties)
	if properties == nil {
		properties = map[string]string{}
	}
	maps.DeleteFunc(properties, func(name, _ string) bool { return strings.HasPrefix(name, placement.TokenPrefix) })
	for token, of := range ranks {
		properties[token] = idset(of)
	}
	r.Execution.Properties = properties
	return unknown, nil
}

// classes returns the class of each node.
func classes(nodes map[string][]string) map[string]string {
	classOf := map[string]string{}
	for id, of := range nodes {
		for _, name := range of {
			classOf[name] = id
		}
	}
	return classOf
}

// inOrder returns the names in the order of a host list.
func inOrder(nodes map[string][]string) []string {
	all := slices.Concat(slices.Collect(maps.Values(nodes))...)
	names, err := hostlist.Parse(hostlist.Format(all))
	if err != nil { // a name that is not one of a host
		return slices.Compact(slices.Sorted(slices.Values(all)))
	}
	return names
}

func sequence(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// idset writes numbers as RFC 22 does: 0-3,5.
func idset(ids []int) string {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	var words []string
	for len(ids) > 0 {
		n := 1
		for n < len(ids) && ids[n] == ids[0]+n {
			n++
		}
		word := strconv.Itoa(ids[0])
		if n > 1 {
			word += "-" + strconv.Itoa(ids[n-1])
		}
		words, ids = append(words, word), ids[n:]
	}
	return strings.Join(words, ",")
}

// parseIdset reads what idset writes, with brackets too, of at most so many numbers.
func parseIdset(text string, most int) ([]int, error) {
	var ids []int
	for word := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), ",") {
		first, last, isRange := strings.Cut(word, "-")
		if !isRange {
			last = first
		}
		low, err := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil || low < 0 || high < low || high-low >= most-len(ids) {
			return nil, fmt.Errorf("%.64q is not an idset (RFC 22) of at most %d", text, most)
		}
		for id := low; id <= high; id++ {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
