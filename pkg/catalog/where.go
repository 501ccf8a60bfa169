package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imagefit/imagefit/pkg/compat"
)

// where is the condition of a statement, with its parameters.
type where struct {
	engine *engine
	now    time.Time
	args   []any
}

// condition writes a query as a condition of SQL on the columns of fields.
func (w *where) condition(n node) (string, error) {
	switch n := n.(type) {
	case andNode:
		return w.join(n.parts, " AND ", "1 = 1")
	case orNode:
		return w.join(n.parts, " OR ", "1 = 0")
	case notNode: // what has no artifacts requires nothing, which is NULL to the database
		inner, err := w.condition(n.part)
		return "((" + inner + ") IS NOT TRUE)", err
	case compared:
		return w.compared(n)
	case asked:
		return "v.needs IN (" + w.asked(n) + ")", nil
	default:
		return "", fmt.Errorf("query: unexpected part %T", n)
	}
}

// join joins conditions. What is asked of artifacts is joined first: there are far fewer
// sets of these than variants that share them.
func (w *where) join(parts []node, by, none string) (string, error) {
	var all, sets []string
	for _, part := range parts {
		if a, ok := part.(asked); ok {
			sets = append(sets, w.asked(a))
		}
	}
	if len(sets) > 0 {
		joined := map[string]string{" AND ": " INTERSECT ", " OR ": " UNION "}[by]
		all = append(all, "v.needs IN ("+strings.Join(sets, joined)+")")
	}
	for _, part := range parts {
		if _, ok := part.(asked); ok {
			continue
		}
		condition, err := w.condition(part)
		if err != nil {
			return "", err
		}
		all = append(all, condition)
	}
	if len(all) == 0 {
		return none, nil
	}
	return "(" + strings.Join(all, by) + ")", nil
}

func (w *where) arg(value any) string {
	w.args = append(w.args, value)
	return "?"
}

func (w *where) compared(c compared) (string, error) {
	value, err := c.field.parse(c.value, w.now)
	if err != nil {
		return "", err
	}
	switch {
	case c.field.name == "source":
		matched := w.text("s.kind", c.op, c.value)
		return "t.id IN (SELECT f.tag FROM found f JOIN source s ON s.id = f.source WHERE " + matched + ")", nil
	case c.field.name == "signer":
		return "EXISTS (SELECT 1 FROM subject s JOIN artifact a ON a.subject = s.id WHERE s.repository = v.repository AND s.manifest IN (v.manifest, v.top) " +
			"AND a.gone = 0 AND a.apart = 1 AND a.signer <> '' AND " + w.text("a.signer", c.op, c.value) + ")", nil
	case c.field.name == "moved":
		return "t.id IN (SELECT h.tag FROM move h WHERE h.before IS NOT NULL GROUP BY h.tag HAVING MAX(h.at) " + sqlOp(c.op) + " " + w.arg(value) + ")", nil
	case c.field.name == "name": // there are fewer names than variants of them
		return "t.id IN (SELECT t.id FROM tag t JOIN repository r ON r.id = t.repository WHERE " + w.text(nameColumn, c.op, c.value) + ")", nil
	case c.field.kind == truth:
		if value.(bool) == (c.op == "=") {
			return "(COALESCE(" + c.field.column + ", 0) > 0)", nil
		}
		return "(COALESCE(" + c.field.column + ", 0) = 0)", nil
	case c.field.kind == text:
		return w.text(c.field.column, c.op, c.value), nil
	case c.field.kind == instant: // 0 is a time that is not known
		return "(" + c.field.column + " > 0 AND " + c.field.column + " " + sqlOp(c.op) + " " + w.arg(value) + ")", nil
	default:
		return "(" + c.field.column + " " + sqlOp(c.op) + " " + w.arg(value) + ")", nil
	}
}

func sqlOp(op string) string {
	if op == "!=" {
		return "<>"
	}
	return op
}

// text compares a column; ~ is a pattern with * and ?.
func (w *where) text(column, op, value string) string {
	if op != "~" {
		return "(" + column + " " + sqlOp(op) + " " + w.arg(value) + ")"
	}
	if w.engine.numbered {
		escaped := strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`, "*", "%", "?", "_").Replace(value)
		return "(" + column + ` LIKE ` + w.arg(escaped) + ` ESCAPE '\')`
	}
	return "(" + column + " GLOB " + w.arg(strings.ReplaceAll(value, "[", "[[]")) + ")"
}

// asked finds the sets of artifacts of which one has an attribute.
func (w *where) asked(a asked) string {
	meant := slices.Clone(verbs()[a.verb])
	for i := range meant {
		w.args = append(w.args, meant[i])
	}
	conditions := []string{"a.importance IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(meant)), ", ") + ")"}
	if !slices.Contains(meant, stated) {
		conditions = append(conditions, "a.importance < 4") // those are in the index
	}
	if strings.ContainsAny(a.key, "*?") {
		conditions = append(conditions, w.text("a.key", "~", a.key))
	} else { // a set is all of its elements: these sort between "set." and "set/", which the index finds with the set
		conditions = append(conditions, "a.key >= "+w.arg(a.key)+" AND a.key < "+w.arg(a.key+"/")+" AND (a.key = "+w.arg(a.key)+" OR a.key >= "+w.arg(a.key+".")+")")
	}
	if a.op != "" {
		conditions = append(conditions, w.value(a))
	}
	return "SELECT n.needs FROM attribute a JOIN need n ON n.body = a.body WHERE " + strings.Join(conditions, " AND ")
}

// value compares what an attribute asks for: "requires kernel.version >= 6" finds what
// runs on 6 or newer only, be that "at least 6.1" or "6.8".
func (w *where) value(a asked) string {
	version := versionKey(a.value)
	bounds := func(ops, strict, op string) string {
		c := "(a.op IN (" + ops + ") AND a.version <> '' AND a.version " + op + " " + w.arg(version)
		if op == ">" || op == "<" { // a bound that leaves the value out is as good
			c += " OR a.op = '" + strict + "' AND a.version = " + w.arg(version)
		}
		return c + ")"
	}
	switch a.op {
	case ">", ">=":
		return bounds(lowerBounds(), string(compat.Gt), a.op)
	case "<", "<=":
		return bounds(upperBounds(), string(compat.Lt), a.op)
	case "~":
		return w.text("a.value", "~", a.value)
	}
	if version != "" {
		return "(a.op = 'In' AND (a.value = " + w.arg(a.value) + " OR a.version = " + w.arg(version) + "))"
	}
	if a.value == "true" {
		return "(a.op = 'Exists' OR a.op = 'In' AND a.value = " + w.arg(a.value) + ")"
	}
	return "(a.op = 'In' AND a.value = " + w.arg(a.value) + ")"
}
