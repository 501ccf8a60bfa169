package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imagefit/imagefit/internal/textutil"
)

// valueKind is what a field is compared with.
type valueKind int

const (
	text valueKind = iota
	whole
	instant
	bytesize
	truth
)

// field is something of an image that queries compare.
type field struct {
	name   string
	kind   valueKind
	about  string // for people
	column string // an expression of SQL
}

// columnsOf are what the parts of a row are called in the statements of queries: tag t of
// repository r, its manifest m, variant v and the manifest c of that.
func fields() []field {
	const artifacts = "(SELECT COUNT(*) FROM need n WHERE n.needs = v.needs)"
	const signed = "(SELECT COUNT(*) FROM subject s JOIN artifact a ON a.subject = s.id WHERE s.repository = v.repository AND s.manifest IN (v.manifest, v.top) " +
		"AND a.gone = 0 AND a.apart = 1 AND a.signer <> '')"
	const body = "(SELECT COALESCE(%s, 0) FROM need n JOIN body b ON b.id = n.body WHERE n.needs = v.needs)"
	return []field{
		{"name", text, "repository with tag or digest", nameColumn},
		{"repository", text, "with its registry", "r.name"},
		{"tag", text, "or digest, of images that are listed by digest", "t.name"},
		{"digest", text, "of the index or image that the name is of", "m.digest"},
		{"variant", text, "digest of the variant's manifest", "c.digest"},
		{"config", text, "digest of the variant's config: its image ID", "c.config"},
		{"platform", text, "such as linux/amd64/v3", "v.platform"},
		{"base", text, "base image that the variant names", "c.base_name"},
		{"size", bytesize, "of the variant's layers", "c.content"},
		{"created", instant, "when the variant was built", "c.created"},
		{"first_seen", instant, "when the name was seen first", "t.first_seen"},
		{"last_seen", instant, "when the name was seen last", "t.last_seen"},
		{"moved", instant, "when the name got another digest, the last time", "moved"},
		{"artifacts", whole, "compatibility artifacts that apply to the variant", artifacts},
		{"dialect", text, "of an artifact", "(SELECT COALESCE(MIN(b.dialect), '') FROM need n JOIN body b ON b.id = n.body WHERE n.needs = v.needs)"},
		{"errors", whole, "mistakes that lint finds in the artifacts", fmt.Sprintf(body, "SUM(b.errors)")},
		{"warnings", whole, "of lint", fmt.Sprintf(body, "SUM(b.warnings)")},
		{"build_host", truth, "an artifact requires facts of one machine", fmt.Sprintf(body, "MAX(b.build_host)")},
		{"unreadable", truth, "an artifact cannot be read", "(SELECT COUNT(*) FROM need n LEFT JOIN body b ON b.id = n.body WHERE n.needs = v.needs AND (n.problem <> '' OR COALESCE(b.problem, '') <> ''))"},
		{"signed", truth, "a trusted key signed an artifact of the variant or its index", signed},
		{"signer", text, "key that signed such an artifact", "signer"},
		{"image_signer", text, "key that signed the index, or the image without one", "(SELECT COALESCE(MIN(s.signer), '') FROM subject s WHERE s.repository = v.repository AND s.manifest = v.top)"},
		{"names", whole, "names that the variant has, in all repositories", "(SELECT COUNT(*) FROM variant w JOIN tag u ON u.repository = w.repository AND u.manifest = w.top WHERE w.manifest = v.manifest AND u.gone = 0)"},
		{"source", text, "where the name was found: registry, list, dir, node or cluster", "source"},
	}
}

// nameColumn is a name as people write it.
const nameColumn = "(r.name || CASE WHEN t.name LIKE 'sha256:%' THEN '@' ELSE ':' END || t.name)"

func fieldNamed(name string) (field, bool) {
	for _, f := range fields() {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// verbs ask for attributes, by how these are meant.
func verbs() map[string][]int {
	return map[string][]int{
		"requires": {required}, "prefers": {preferred}, "excludes": {excluded}, "states": {stated},
		"mentions": {required, preferred, informative, excluded, stated},
	}
}

func isVerb(word string) bool { return verbs()[word] != nil }

// words are all that can begin a condition.
func words() []string {
	all := []string{"not"}
	for verb := range verbs() {
		all = append(all, verb)
	}
	for _, f := range fields() {
		all = append(all, f.name)
	}
	slices.Sort(all)
	return all
}

func unknownField(word string) string {
	reason := "there is no field " + textutil.Quote(word)
	switch near := textutil.Nearest(strings.ToLower(word), words()); {
	case near != "":
		return reason + ": is " + near + " meant?"
	case strings.ContainsAny(word, "./"):
		return reason + ": attributes come after a verb, as in requires " + word
	default:
		return reason + `: names are searched with name ~ "*` + word + `*"`
	}
}

func (f field) ops() []string {
	switch f.kind {
	case text:
		return []string{"=", "!=", "~"}
	case truth:
		return []string{"=", "!="}
	default:
		return []string{"=", "!=", "<", "<=", ">", ">="}
	}
}

func (f field) isOp(op string) bool { return slices.Contains(f.ops(), op) }

// check tells what is wrong with a comparison.
func (f field) check(op, value string) error {
	if !f.isOp(op) {
		return fmt.Errorf("%s is compared with %s, not with %s", f.name, strings.Join(f.ops(), " "), op)
	}
	_, err := f.parse(value, time.Unix(0, 0))
	return err
}

// parse reads a value as the database keeps it.
func (f field) parse(value string, now time.Time) (any, error) {
	switch f.kind {
	case whole:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is not a whole number, which %s is", textutil.Quote(value), f.name)
		}
		return n, nil
	case bytesize:
		return parseBytes(value)
	case instant:
		at, err := ParseTime(value, now)
		return at.Unix(), err
	case truth:
		switch value {
		case "true", "yes":
			return true, nil
		case "false", "no":
			return false, nil
		}
		return nil, fmt.Errorf("%s is true or false, not %s", f.name, textutil.Quote(value))
	default:
		return value, nil
	}
}

// ParseTime reads a date, a time, or how long ago: 2026-11-01, 2026-11-01T12:00:00Z, 36h,
// 30d, 2w.
func ParseTime(value string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339, "2006-01-02T15:04"} {
		if at, err := time.Parse(layout, value); err == nil {
			return at, nil
		}
	}
	if found := regexp.MustCompile(`^([0-9]{1,5})(d|w|y)$`).FindStringSubmatch(value); found != nil {
		n, _ := strconv.Atoi(found[1])
		return now.AddDate(0, 0, -n*map[string]int{"d": 1, "w": 7, "y": 365}[found[2]]), nil
	}
	if ago, err := time.ParseDuration(value); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%s is not a time: write a date (2026-11-01), a time (2026-11-01T12:00:00Z), or how long ago (36h, 30d, 2w, 1y)", textutil.Quote(value))
}

func parseBytes(value string) (int64, error) {
	units := []struct {
		name string
		size float64
	}{
		{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
	}
	number, size := value, 1.0
	for _, unit := range units {
		if rest, ok := strings.CutSuffix(value, unit.name); ok {
			number, size = rest, unit.size
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 || n*size > 1<<62 {
		return 0, errors.New(textutil.Quote(value) + " is not a size, as in 500MB or 2GiB")
	}
	return int64(n * size), nil
}
