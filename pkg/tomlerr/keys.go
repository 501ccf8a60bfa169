package tomlerr

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/imagefit/imagefit/internal/textutil"
)

// Keys returns the full key of every value and table that the struct, which
// into is or points to, can have, in the order of its fields. A * is a part of a
// key that the author of the file chooses.
func Keys(into any) []string {
	return keys(reflect.TypeOf(into), "")
}

func keys(t reflect.Type, prefix string) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return keys(t.Elem(), prefix)
	case reflect.Map:
		return keys(t.Elem(), prefix+"*.")
	case reflect.Struct:
	default:
		return nil
	}
	var all []string
	for field := range t.Fields() {
		if field.Anonymous {
			all = append(all, keys(field.Type, prefix)...)
			continue
		}
		tag, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		if tag == "" {
			continue
		}
		all = append(all, prefix+tag)
		all = append(all, keys(field.Type, prefix+tag+".")...)
	}
	return all
}

// Key writes a key of several parts as a TOML file would.
func Key(parts []string) string {
	const bare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	written := slices.Clone(parts)
	for i, part := range parts {
		if part == "" || strings.Trim(part, bare) != "" {
			written[i] = Quote(part)
		}
	}
	return strings.Join(written, ".")
}

// Quote writes a text as a TOML string.
func Quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) { // by byte, so that invalid UTF-8 stays and is refused by the reader
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, "\\u%04X", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// nearestKey looks for a key among the known ones, in which a * stands for any
// part.
func nearestKey(parts, known []string) string {
	fitted := make([]string, 0, len(known))
	for _, k := range known {
		names := strings.Split(k, ".")
		for i, name := range names {
			if name == "*" && i < len(parts) {
				names[i] = Key(parts[i : i+1])
			}
		}
		fitted = append(fitted, strings.Join(names, "."))
	}
	return textutil.Nearest(Key(parts), fitted)
}

// OnlyKey returns the parts of the key in a text "key = value". It reports false
// for any other text.
func OnlyKey(text string) (parts []string, ok bool) {
	var p unstable.Parser
	p.Reset([]byte(text))
	for p.NextExpression() {
		e := p.Expression()
		if parts != nil || e.Kind != unstable.KeyValue {
			return nil, false
		}
		parts = appendKey(nil, e)
	}
	return parts, p.Error() == nil && parts != nil
}

// withoutRow blanks the value that a row is part of, or the table whose name it has, and
// leaves all other positions as they are. It reports false where the text is not valid
// TOML up to there.
func withoutRow(text []byte, row int) (left []byte, ok bool) {
	start, end, ok := Rows(text, row)
	if !ok {
		return nil, false
	}
	rows := bytes.Split(bytes.Clone(text), []byte("\n"))
	for i := start - 1; i < end-1; i++ {
		rows[i] = nil
	}
	return bytes.Join(rows, []byte("\n")), true
}

// Rows returns the rows of the value that a row is part of, or of the table whose name it has: from
// start to before end, which includes what is between it and the next one. It reports false where the
// text is not valid TOML up to there.
func Rows(text []byte, row int) (start, end int, ok bool) {
	r := reading{text: text, row: 1, of: map[string]Position{}}
	r.parser.Reset(text)
	table := false
	for r.parser.NextExpression() {
		e := r.parser.Expression()
		isTable := e.Kind != unstable.KeyValue
		r.advance(e)
		switch {
		case r.row <= row:
			start, table = r.row, isTable
		case end == 0 && (isTable || !table):
			end = r.row
		}
	}
	if start == 0 || end == 0 && r.parser.Error() != nil {
		return 0, 0, false
	}
	if end == 0 {
		end = bytes.Count(text, []byte("\n")) + 2
	}
	return start, end, true
}

// Bounds of the keys whose position is recorded; no file of ours has longer ones.
const (
	longestKey = 512
	deepestKey = 8
)

// Position is a place in a text, counted from 1; columns are bytes.
type Position struct{ Row, Column int }

// Positions returns where each key and table first appears in the text, also
// those in inline tables. What follows a syntax error is left out.
func Positions(text []byte) map[string]Position {
	r := reading{text: text, row: 1, of: map[string]Position{}}
	r.parser.Reset(text)
	var table []string
	for r.parser.NextExpression() {
		e := r.parser.Expression()
		if e.Kind == unstable.KeyValue {
			r.value(table, e)
			continue
		}
		table = appendKey(nil, e)
		r.note(table, e)
	}
	return r.of
}

// reading is one pass over a text from its beginning to its end.
type reading struct {
	text   []byte
	parser unstable.Parser
	offset int // up to where rows are counted
	row    int // the row of offset
	start  int // where that row begins
	of     map[string]Position
}

func (r *reading) value(table []string, e *unstable.Node) {
	if len(table) > deepestKey {
		return
	}
	key := appendKey(table, e)
	r.note(key, e)
	if e.Value().Kind != unstable.InlineTable {
		return
	}
	for inside := e.Value().Children(); inside.Next(); {
		r.value(key, inside.Node())
	}
}

// note records the position of a key and of the tables that it is in.
func (r *reading) note(key []string, e *unstable.Node) {
	at := r.advance(e)
	size := 0
	for i := range key {
		if size += len(key[i]); size > longestKey || i >= deepestKey {
			return
		}
		name := Key(key[:i+1])
		if _, known := r.of[name]; !known {
			r.of[name] = Position{Row: r.row, Column: at - r.start + 1}
		}
	}
}

// advance counts rows up to an expression and returns where that begins.
func (r *reading) advance(e *unstable.Node) int {
	first := e.Key()
	first.Next()
	at := int(first.Node().Raw.Offset)
	for ; r.offset < at; r.offset++ {
		if r.text[r.offset] == '\n' {
			r.row++
			r.start = r.offset + 1
		}
	}
	return at
}

// appendKey returns the full key of an expression in a table.
func appendKey(table []string, e *unstable.Node) []string {
	key := slices.Clone(table)
	for it := e.Key(); it.Next(); {
		key = append(key, string(it.Node().Data))
	}
	return key
}

// Table is one of an array of tables.
type Table struct {
	Position
	Keys map[string]Position // of what it holds
}

// Tables returns where the tables of an array, each begun by [[name]], and their keys
// are.
func Tables(text []byte, name string) []Table {
	r := reading{text: text, row: 1, of: map[string]Position{}}
	r.parser.Reset(text)
	var all []Table
	inside := false
	for r.parser.NextExpression() {
		e := r.parser.Expression()
		key := appendKey(nil, e)
		at := Position{Column: 1 + r.advance(e)}
		at.Row, at.Column = r.row, at.Column-r.start
		switch {
		case e.Kind == unstable.ArrayTable && len(key) == 1 && key[0] == name:
			all = append(all, Table{Position: at, Keys: map[string]Position{}})
			inside = true
		case e.Kind != unstable.KeyValue:
			inside = false
		case inside && len(key[0]) <= longestKey:
			if keys := all[len(all)-1].Keys; len(keys) < deepestKey*deepestKey {
				keys[key[0]] = at
			}
		}
	}
	return all
}
