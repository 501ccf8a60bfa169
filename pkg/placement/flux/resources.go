package flux

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/placement/hostlist"
)

// Config returns the [[resource.config]] tables that give nodes the property of their
// class, to add to those that tell their cores. The nodes are those of each class.
func Config(nodes map[string][]string) string {
	var b strings.Builder
	for i, id := range slices.Sorted(maps.Keys(nodes)) {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "[[resource.config]]\nhosts = %q\nproperties = [%q]\n", hostlist.Format(nodes[id]), placement.Token(id))
	}
	return b.String()
}

// SetProperties returns the calls that give running nodes the property of their class.
func SetProperties(nodes map[string][]string) string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		b.WriteString("flux ion-resource set-property")
		for _, name := range slices.Sorted(slices.Values(nodes[id])) {
			b.WriteString(" /cluster0/" + name)
		}
		b.WriteString(" " + placement.Token(id) + "=1\n")
	}
	return b.String()
}

// R is a resource set of RFC 20.
type R struct {
	Version   int       `json:"version"`
	Execution Execution `json:"execution"`
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

// ResourceSet returns the resource set of nodes that have so many cores each, in the order
// of their names.
func ResourceSet(nodes map[string][]string, cores int) R {
	names, ranks := ranked(nodes)
	r := R{Version: 1, Execution: Execution{Properties: map[string]string{}, NodeList: []string{hostlist.Format(names)}}}
	if len(names) > 0 {
		r.Execution.Lite = []Lite{{Rank: idset(sequence(len(names))), Children: map[string]string{"core": idset(sequence(cores))}}}
	}
	for id, of := range nodes {
		var list []int
		for _, name := range of {
			list = append(list, ranks[name])
		}
		r.Execution.Properties[placement.Token(id)] = idset(list)
	}
	return r
}

// ranked returns the names in the order of a host list, and their places.
func ranked(nodes map[string][]string) (names []string, ranks map[string]int) {
	all := slices.Concat(slices.Collect(maps.Values(nodes))...)
	names, err := hostlist.Parse(hostlist.Format(all))
	if err != nil { // a name that is not one of a host
		names = slices.Compact(slices.Sorted(slices.Values(all)))
	}
	ranks = make(map[string]int, len(names))
	for i, name := range names {
		ranks[name] = i
	}
	return names, ranks
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
