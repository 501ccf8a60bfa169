package spec

import "github.com/pelletier/go-toml/v2/unstable"

// rows are the rows at which the tables of an array begin, by its name.
type rows map[string][]int

// tableRows finds the headers of arrays of tables in a text that was decoded
// already. Decoding keeps no positions, and an error about the third node must
// say where that is.
func tableRows(text []byte) rows {
	found := rows{}
	p := unstable.Parser{}
	p.Reset(text)
	for p.NextExpression() {
		expression := p.Expression()
		if expression.Kind != unstable.ArrayTable {
			continue
		}
		key := expression.Key()
		if !key.Next() {
			continue
		}
		name := key.Node()
		found[string(name.Data)] = append(found[string(name.Data)], p.Shape(name.Raw).Start.Line)
	}
	return found
}

// of returns the row of the i-th table of an array, or 0 where the array is
// written another way.
func (r rows) of(name string, i int) int {
	if i < len(r[name]) {
		return r[name][i]
	}
	return 0
}
