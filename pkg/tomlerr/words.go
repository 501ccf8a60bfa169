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

// found is one of TOML's types as people call it.
func found(tomlType string) string {
	switch tomlType {
	case "integer":
		return "a whole number"
	case "float":
		return "a number with a fraction"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "array table":
		return "a list of tables"
	case "inline table":
		return "a table"
	default: // string, table, local date, ...
		return "a " + tomlType
	}
}

// message says what a value is and what it has to be, without the names of Go's types.
func message(e *toml.DecodeError) string {
	text := strings.TrimPrefix(e.Error(), "toml: ")
	for _, wrong := range []*regexp.Regexp{wrongValue, wrongTable} {
		if m := wrong.FindStringSubmatch(text); m != nil {
			return "is " + found(m[1]) + ", expected " + expected(m[2])
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
