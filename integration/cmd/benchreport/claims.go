package main

import (
	"slices"
	"strings"
)

// claim is what a table shows.
type claim struct {
	key, title, about string
	prefixes          []string // of the benchmarks
	columns           []column
}

// column is a value of a benchmark. Ratios and counts are compared with earlier ones: a
// ratio within a tolerance, a count exactly.
type column struct {
	unit, heading string
	compared      comparison
}

type comparison int

const (
	notCompared comparison = iota
	asRatio
	asCount
)

// claims lists the tables in their order.
func claims() []claim {
	sides := []column{
		{"direct-p50-us", "directly, p50", notCompared}, {"proxied-p50-us", "through cri-proxy, p50", notCompared},
		{"p50-ratio", "ratio", asRatio},
	}
	requests := slices.Concat(sides, []column{
		{"direct-requests", "requests, directly", notCompared}, {"proxied-requests", "requests in all", asCount},
	})
	return []claim{
		{
			"calls", "A call that is forwarded",
			"The smallest call there is and a list of 500 containers, directly and through cri-proxy in turns. " +
				"`Version` is made to containerd in its own process; `ForwardVersion` and `ForwardList500` have client, proxy and a fake runtime in one.",
			[]string{"Version", "ForwardVersion", "ForwardList500"}, sides,
		},
		{
			"again", "A pull of what is on the node",
			"A pod with `imagePullPolicy: Always`, from a registry at several distances. The index has one plain image and variants " +
				"of a higher level, each with an artifact.",
			[]string{"WarmPull/"}, requests,
		},
		{
			"tokens", "The same from a registry that asks for tokens", "The runtime logs in for each pull, imagefit once.",
			[]string{"WarmPullWithToken/"}, requests,
		},
		{
			"first", "A first pull", "Neither the node nor imagefit has seen the image, as above.",
			[]string{"ColdPull/"}, requests,
		},
		{
			"fleet", "Many nodes on one registry",
			"Requests per node for an image of four variants, without the runtime's own: the first pull, the same again, and when the " +
				"lists are out of date. Those are refreshed beside the pull, in one second by so many nodes at most.",
			[]string{"Fleet/"},
			[]column{
				{"cold/node", "first", asCount}, {"warm/node", "again", asCount}, {"later/node", "out of date", asCount},
				{"beside/node", "refreshed", asCount}, {"peak/s", "nodes in one second", notCompared},
			},
		},
		{
			"hook", "Admission", "What the NRI plugin's hook takes by itself, with 10,000 images known.",
			[]string{"Hook"}, []column{{"p50-us", "p50", notCompared}, {"p99-us", "p99", notCompared}},
		},
	}
}

// of picks the results that the table shows.
func (c claim) of(results []Result) []Result {
	var rows []Result
	for _, r := range results {
		for _, prefix := range c.prefixes {
			if _, has := r.Values[c.columns[0].unit]; has && (r.Name == prefix || strings.HasPrefix(r.Name, strings.TrimSuffix(prefix, "/")+"/")) {
				rows = append(rows, r)
				break
			}
		}
	}
	return rows
}
