package tomlerr

import (
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

var (
	wrongValue = regexp.MustCompile(`^cannot decode TOML (.+) into struct field \S+ of type (.+)$`)
	wrongTable = regexp.MustCompile(`^cannot store an? (table|array table) in an? (.+)$`)
)

// found are TOML's types as people call them.
var found = strings.NewReplacer(
	"string", "a string", "integer", "a whole number", "float", "a number with a fraction", "boolean", "true or false",
	"array table", "a list of tables", "array", "a list", "inline table", "a table", "table", "a table",
	"offset date-time", "a date", "local date-time", "a date", "local date", "a date", "local time", "a time",
)

// message says what a value is and what it has to be, without the names of Go's types.
func message(e *toml.DecodeError) string {
	text := strings.TrimPrefix(e.Error(), "toml: ")
	for _, wrong := range []*regexp.Regexp{wrongValue, wrongTable} {
		if m := wrong.FindStringSubmatch(text); m != nil {
			return "is " + found.Replace(m[1]) + ", expected " + expected(m[2])
		}
	}
	return text
}

// expected is a type of Go as a value of TOML.
func expected(goType string) string {
	if element, ok := strings.CutPrefix(goType, "[]"); ok {
		_, plural, _ := strings.Cut(expected(element), " ")
		return "a list of " + plural + "s"
	}
	switch goType[strings.LastIndex(goType, ".")+1:] {
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	case "int", "int64", "uint64":
		return "a whole number"
	case "float64":
		return "a number"
	case "Duration":
		return `a string with a duration, such as "5s"`
	default:
		return "a table"
	}
}
