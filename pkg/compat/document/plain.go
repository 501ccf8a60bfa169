package document

import (
	"regexp"
	"strings"
)

// Plain puts what the JSON and YAML parsers say into words of people who wrote the text
// by hand. Other texts stay as they are.
func Plain(text string) string {
	for _, w := range yamlWords() {
		text = strings.ReplaceAll(text, w[0], w[1])
	}
	text = strings.ReplaceAll(text, "unexpected end of JSON input", "the text ends too early: a bracket, a brace or a quote is not closed")
	return jsonFound().ReplaceAllStringFunc(text, func(found string) string {
		parts := jsonFound().FindStringSubmatch(found)
		return jsonWords(parts[1], parts[2])
	})
}

// jsonFound matches the errors of encoding/json about a character.
func jsonFound() *regexp.Regexp {
	return regexp.MustCompile(`invalid character ('\\?.[^']*') (looking for beginning of object key string|looking for beginning of value|after object key:value pair|after object key|after array element|after top-level value)`)
}

func jsonWords(found, where string) string {
	closing := found == "'}'" || found == "']'"
	quote := found == `'\''`
	switch where {
	case "looking for beginning of object key string":
		switch {
		case closing:
			return "a name is expected before " + found + ": the comma before it is one too many"
		case quote:
			return "names are written in double quotes, not in single ones"
		}
		return "a name in double quotes is expected, and not " + found
	case "looking for beginning of value":
		switch {
		case closing:
			return "a value is expected before " + found + ": the comma before it is one too many"
		case quote:
			return "texts are written in double quotes, not in single ones"
		case found == "'T'", found == "'F'", found == "'N'":
			return "a value is expected, and not " + found + ": true, false and null are written in lower case"
		case found == "'/'":
			return "a value is expected, and not '/': JSON has no comments"
		}
		return "a value is expected, and not " + found + ": texts are written in double quotes"
	case "after object key:value pair":
		return "a comma or } is expected before " + found
	case "after array element":
		return "a comma or ] is expected before " + found
	case "after object key":
		return "a colon is expected before " + found
	default:
		return "there is something behind the end of the document: " + found
	}
}

// yamlWords are texts of the YAML parser, each with ours.
func yamlWords() [][2]string {
	const check = "check the indentation of this row and of the one before"
	return [][2]string{
		{"found a tab character that violates indentation", "a tab in the indentation: YAML is indented with spaces"},
		{"found character that cannot start any token", "a tab, or another character that nothing begins with: YAML is indented with spaces, and texts with % or @ in front are quoted"},
		{"mapping values are not allowed in this context", "a key with a value is not expected here: " + check},
		{"did not find expected key", "a key is expected here: " + check},
		{"did not find expected '-' indicator", "a member of a list, with a - in front, is expected here: " + check},
		{"could not find expected ':'", "a key without a colon behind it"},
		{"control characters are not allowed", "a control character: this is not a text"},
	}
}
