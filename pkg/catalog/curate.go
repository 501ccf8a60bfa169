package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/selector"
)

// Rules say which names a plan keeps. A name that no rule keeps could be removed.
type Rules struct {
	Chosen bool        // what a node would run
	Newest int         // so many names of each repository
	InUse  bool        // what a node or a pod uses: sources of these kinds have it
	Query  *Expression // what it describes, or nil
}

// Planned is what a plan proposes for a name.
type Planned struct {
	Name   string        `json:"name"`
	Keep   bool          `json:"keep"`
	Why    []string      `json:"why"`
	Digest digest.Digest `json:"digest"`
	// Unchosen are variants of a name that is kept which no node would choose.
	Unchosen []string `json:"unchosen,omitempty"`
}

// Plan proposes which names to keep. Nothing is changed anywhere.
func (c *Catalog) Plan(ctx context.Context, m *Matrix, what *Expression, rules Rules) ([]Planned, error) {
	rows, err := c.Query(ctx, what, 0)
	if err != nil {
		return nil, err
	}
	plan, at := []Planned{}, map[string]int{}
	newest := newestOf(rows)
	for _, r := range rows {
		if _, known := at[r.Name]; !known {
			at[r.Name] = len(plan)
			plan = append(plan, Planned{Name: r.Name, Digest: r.Digest, Why: []string{}})
		}
	}
	keep := func(name, why string) {
		if i, ok := at[name]; ok {
			plan[i].Keep, plan[i].Why = true, append(plan[i].Why, why)
		}
	}
	if rules.Chosen {
		for _, l := range m.Images {
			for _, name := range l.Names {
				if on := l.nodesThatRun(m.Nodes); len(on) > 0 {
					keep(name, "runs on "+strings.Join(on, ", "))
				}
			}
		}
	}
	for name, rank := range newest {
		if rank <= rules.Newest {
			keep(name, fmt.Sprintf("number %d of the newest of its repository", rank))
		}
	}
	if err := c.keepQueries(ctx, rules, keep); err != nil {
		return nil, err
	}
	for _, u := range m.Unchosen(rows) {
		for _, name := range u.Names {
			if i := at[name]; plan[i].Keep {
				plan[i].Unchosen = append(plan[i].Unchosen, strings.TrimSpace(u.Platform+" "+u.Variant.String()))
			}
		}
	}
	for i := range plan {
		if !plan[i].Keep {
			plan[i].Why = []string{"no rule keeps it"}
		}
	}
	return plan, nil
}

// keepQueries keeps what is in use, and what the rules describe.
func (c *Catalog) keepQueries(ctx context.Context, rules Rules, keep func(name, why string)) error {
	type kept struct {
		query *Expression
		why   string
	}
	var queries []kept
	if rules.InUse {
		e, err := ParseExpression("source = node or source = cluster")
		if err != nil {
			return err
		}
		queries = append(queries, kept{e, "is in use"})
	}
	if rules.Query != nil {
		queries = append(queries, kept{rules.Query, "matches " + rules.Query.text})
	}
	for _, q := range queries {
		found, err := c.Query(ctx, q.query, 0)
		if err != nil {
			return err
		}
		for _, name := range namesOf(found) {
			keep(name, q.why)
		}
	}
	return nil
}

func namesOf(rows []Row) (names []string) {
	for _, r := range rows {
		if len(names) == 0 || names[len(names)-1] != r.Name {
			names = append(names, r.Name)
		}
	}
	return names
}

// nodesThatRun lists the nodes on which a variant of the image may run.
func (l *MatrixLine) nodesThatRun(nodes []string) (on []string) {
	for i, v := range l.Verdicts {
		if v.Outcome != selector.Unfit {
			on = append(on, nodes[i])
		}
	}
	return on
}

// newestOf ranks the names of each repository, the newest variant of each counts.
func newestOf(rows []Row) map[string]int {
	type dated struct {
		name string
		at   int64
	}
	byRepository := map[string][]dated{}
	for _, r := range rows {
		at := r.Created.Unix()
		if r.Created.IsZero() {
			at = r.FirstSeen.Unix()
		}
		repository, _, _ := strings.Cut(r.Name, "@")
		if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
			repository = repository[:i]
		}
		all := byRepository[repository]
		if n := len(all); n > 0 && all[n-1].name == r.Name {
			all[n-1].at = max(all[n-1].at, at)
			continue
		}
		byRepository[repository] = append(all, dated{r.Name, at})
	}
	ranks := map[string]int{}
	for _, all := range byRepository {
		slices.SortStableFunc(all, func(a, b dated) int { return cmp.Or(-cmp.Compare(a.at, b.at), -strings.Compare(a.name, b.name)) })
		for i, d := range all {
			ranks[d.name] = i + 1
		}
	}
	return ranks
}

// Prefetch is an image that a new node should have.
type Prefetch struct {
	Name      string        `json:"name"`
	Platform  string        `json:"platform,omitempty"`
	Reference string        `json:"reference"` // by digest of the variant
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size,omitempty"`
}

// Prefetch lists what a node of the kind of the first one should pull of the images of a
// matrix: the variant that it would choose.
func (c *Catalog) Prefetch(ctx context.Context, m *Matrix, what *Expression) ([]Prefetch, error) {
	rows, err := c.Query(ctx, what, 0)
	if err != nil {
		return nil, err
	}
	sizes := map[digest.Digest]int64{}
	for _, r := range rows {
		sizes[r.Variant] = r.Size
	}
	all := []Prefetch{}
	for _, l := range m.Images {
		v := l.Verdicts[0]
		if v.Outcome == selector.Unfit || v.Digest == "" {
			continue
		}
		all = append(all, Prefetch{
			Name: l.Names[0], Platform: v.Platform, Digest: v.Digest, Size: sizes[v.Digest], Reference: l.needs.Repository + "@" + v.Digest.String(),
		})
	}
	return all, nil
}
