package catalog

import (
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/author/lint"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

const (
	// maxAttributes bounds what is kept of one body in a form that can be queried.
	maxAttributes = 512
	// maxValue bounds one key or value.
	maxValue = 256
	// maxRowProblem bounds why something could not be read.
	maxRowProblem = 512
)

// How an attribute is meant.
const (
	required = iota
	preferred
	informative
	excluded // the image does not run where it holds
	stated   // as the author wrote it, group/key
)

// attribute is one condition of a body, in a form that can be queried.
type attribute struct {
	key, op, value string
	version        string // value as versions are ordered; empty for other values
	importance     int
}

// indexed is what is kept of a body besides its text.
type indexed struct {
	dialect          string
	attributes       []attribute
	problem          string
	errors, warnings int
	buildHost        bool
}

// Indexer turns the bodies of artifacts into attributes.
type Indexer struct {
	interpreter *spec.Interpreter
	linter      *lint.Linter
	// vocabulary stands for the specs: with others, attributes mean something else.
	vocabulary string
}

// NewIndexer returns an Indexer for which attributes mean what the specs say.
func NewIndexer(specs []spec.Spec, version string) *Indexer {
	vocabulary := []string{version}
	for _, s := range specs {
		vocabulary = append(vocabulary, s.Name+"="+s.Revision)
	}
	return &Indexer{spec.NewInterpreter(specs), lint.New(specs), strings.Join(vocabulary, " ")}
}

// index reads a body under the types that it was pushed with.
func (x *Indexer) index(artifactType, layerType string, text []byte) indexed {
	d, ok := dialect.Detect(artifactType, layerType, text)
	if !ok {
		return indexed{problem: "no dialect has these types"}
	}
	found := indexed{dialect: d.Name}
	reqs, err := d.Parse(x.interpreter, text)
	if err != nil {
		found.problem = textutil.Line(err.Error(), maxRowProblem)
	}
	rows := attributeRows{seen: map[attribute]bool{}}
	rows.addAll(reqs, required, false)
	if root, err := d.Read(text); err == nil && d.Attributes != nil {
		for _, scope := range d.Attributes(root) {
			for _, a := range scope.Plain() {
				rows.add(attribute{key: a.Group + "/" + a.Key, op: string(compat.In), value: a.Value, importance: stated})
			}
		}
	}
	found.attributes = rows.all
	for _, f := range x.linter.Lint("", text, d.Name) {
		if f.Severity == lint.Error {
			found.errors++
		} else {
			found.warnings++
		}
		found.buildHost = found.buildHost || f.Code == lint.BuildHost
	}
	return found
}

type attributeRows struct {
	all  []attribute
	seen map[attribute]bool
}

func (r *attributeRows) add(a attribute) {
	a.key, a.value = textutil.Line(a.key, maxValue), textutil.Line(a.value, maxValue)
	a.version = versionKey(a.value)
	if len(r.all) < maxAttributes && !r.seen[a] {
		r.seen[a] = true
		r.all = append(r.all, a)
	}
}

// addAll adds requirements with their parts. Alternatives are as important as what they
// are alternatives of; what must not hold is excluded.
func (r *attributeRows) addAll(reqs []compat.Requirement, least int, negated bool) {
	for i := range reqs {
		q := &reqs[i]
		importance := max(least, int(q.Importance))
		not := negated != q.Not
		if q.Name != nil && len(q.Name.Values) > 0 {
			for _, value := range q.Name.Values {
				r.addTerm(q.Set, compat.Term{Element: value, Op: compat.Exists}, importance, not)
			}
		}
		for _, term := range q.Terms {
			r.addTerm(q.Set, term, importance, not)
		}
		if q.Combine == compat.Leaf && q.Unclear != "" && q.Key != "" && len(q.Terms) == 0 {
			r.add(attribute{key: q.Key, op: string(compat.Exists), importance: importance})
		}
		r.addAll(q.Parts, importance, not != (q.Combine == compat.NoneOf))
	}
}

func (r *attributeRows) addTerm(set string, term compat.Term, importance int, negated bool) {
	key := keyOf(set, term.Element)
	op := term.Op
	switch op {
	case compat.NotIn, compat.DoesNotExist, compat.IsFalse:
		negated = !negated
	case compat.Any:
		return
	}
	switch op {
	case compat.NotIn, compat.In:
		op = compat.In
	case compat.DoesNotExist, compat.IsFalse, compat.IsTrue, compat.Exists:
		op = compat.Exists
	}
	if negated {
		importance = excluded
	}
	switch {
	case len(term.Values) == 0:
		r.add(attribute{key: key, op: string(op), importance: importance})
	case (op == compat.GtLt || op == compat.GeLe) && len(term.Values) == 2:
		from, to := compat.Ge, compat.Le
		if op == compat.GtLt {
			from, to = compat.Gt, compat.Lt
		}
		r.add(attribute{key: key, op: string(from), value: term.Values[0], importance: importance})
		r.add(attribute{key: key, op: string(to), value: term.Values[1], importance: importance})
	default:
		for _, value := range term.Values {
			r.add(attribute{key: key, op: string(op), value: value, importance: importance})
		}
	}
}

// keyOf is the name of a fact in a query: kernel.version, cpu.cpuid.AVX2.
func keyOf(set, element string) string {
	if element == "" || element == "full" && set == "kernel.version" {
		return set
	}
	return set + "." + element
}

// versionKey makes of a version a text that sorts as versions do: before each number is a
// letter for how many digits it has. It is empty for what is not a version. Zeros at the
// end mean nothing.
func versionKey(value string) string {
	const letters, digits, most = "abcdefghijklmnopqrstuvwxyz", 26, 6
	parts := strings.Split(strings.TrimPrefix(value, "v"), ".")
	if len(parts) > most {
		return ""
	}
	var key []string
	for _, part := range parts {
		number, rest := part, ""
		if i := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
			number, rest = part[:i], part[i:]
		}
		if number == "" || len(number) > digits || rest != "" && !strings.ContainsAny(rest[:1], "-+_~") {
			return ""
		}
		if number = strings.TrimLeft(number, "0"); number == "" {
			number = "0"
		}
		key = append(key, letters[len(number)-1:len(number)]+number)
		if rest != "" {
			break
		}
	}
	for len(key) > 1 && key[len(key)-1] == "a0" {
		key = key[:len(key)-1]
	}
	return strings.Join(key, ".")
}

// putBody keeps a body once, whatever it is attached to.
func (t *tx) putBody(x *Indexer, digest, artifactType, layerType string, text []byte) (id int64, err error) {
	if found, err := t.get("SELECT id FROM body WHERE digest = ?", []any{digest}, &id); err != nil || found {
		return id, err
	}
	in := x.index(artifactType, layerType, text)
	insert := "INSERT INTO body (digest, dialect, text, problem, errors, warnings, build_host) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id"
	found, err := t.get(insert, []any{digest, in.dialect, text, in.problem, in.errors, in.warnings, number(in.buildHost)}, &id)
	if err != nil {
		return 0, err
	}
	if !found { // another writer was faster
		_, err := t.get("SELECT id FROM body WHERE digest = ?", []any{digest}, &id)
		return id, err
	}
	return id, t.putAttributes(id, in.attributes)
}

func (t *tx) putAttributes(body int64, all []attribute) error {
	const columns = 7
	for n := 0; n < len(all); n += 64 { // several rows at once cost less
		part := all[n:min(n+64, len(all))]
		args := make([]any, 0, columns*len(part))
		for i, a := range part {
			args = append(args, body, n+i, a.key, a.op, a.value, a.version, a.importance)
		}
		marks := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?), ", len(part)), ", ")
		if err := t.exec("INSERT INTO attribute (body, position, key, op, value, version, importance) VALUES "+marks, args...); err != nil {
			return err
		}
	}
	return nil
}

// reindex reads all bodies again where attributes mean something else than when they were
// read last.
func (t *tx) reindex(x *Indexer) error {
	var known string
	if _, err := t.get("SELECT value FROM meta WHERE name = 'vocabulary'", nil, &known); err != nil || known == x.vocabulary {
		return err
	}
	type kept struct {
		id              int64
		artifact, layer string
		text            []byte
	}
	var bodies []kept
	err := t.each(func(scan func(...any) error) error {
		var b kept
		err := scan(&b.id, &b.artifact, &b.layer, &b.text)
		bodies = append(bodies, b)
		return err
	}, "SELECT DISTINCT b.id, k.artifact, k.layer, b.text FROM body b JOIN artifact a ON a.body = b.id JOIN kind k ON k.id = a.kind")
	if err != nil {
		return err
	}
	done := map[int64]bool{}
	for _, b := range bodies {
		if done[b.id] {
			continue
		}
		done[b.id] = true
		in := x.index(b.artifact, b.layer, b.text)
		if err := t.exec("DELETE FROM attribute WHERE body = ?", b.id); err != nil {
			return err
		}
		if err := t.exec("UPDATE body SET dialect = ?, problem = ?, errors = ?, warnings = ?, build_host = ? WHERE id = ?",
			in.dialect, in.problem, in.errors, in.warnings, number(in.buildHost), b.id); err != nil {
			return err
		}
		if err := t.putAttributes(b.id, in.attributes); err != nil {
			return err
		}
	}
	return t.exec("INSERT INTO meta (name, value) VALUES ('vocabulary', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", x.vocabulary)
}

// number is a truth value as both databases keep it.
func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// lowerBounds and upperBounds are the operators by which a requirement bounds a value.
func lowerBounds() string { return quoted(compat.Ge, compat.Gt, compat.In) }
func upperBounds() string { return quoted(compat.Le, compat.Lt, compat.In) }

func quoted(ops ...compat.Op) string {
	var all []string
	for _, op := range ops {
		all = append(all, "'"+string(op)+"'")
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
