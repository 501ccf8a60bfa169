package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// Output is the value of the flag -o: the format in which a command prints.
type Output string

// The formats that Print knows. A command may have others, and print them as
// it prints text.
const (
	Text Output = "text"
	JSON Output = "json"
	YAML Output = "yaml"
)

// AddFlag adds the flag -o with these formats, of which the first is the default. A command
// that has JSON has YAML too.
func (o *Output) AddFlag(cmd *cobra.Command, formats ...Output) {
	*o = formats[0]
	if at := slices.Index(formats, JSON); at >= 0 && !slices.Contains(formats, YAML) {
		formats = slices.Insert(slices.Clone(formats), at+1, YAML)
	}
	OneOf(cmd, o, "output", "o", "output format", formats)
}

// Print writes v to the output of the command as JSON or YAML, or what text makes of it
// for any other format.
func (o Output) Print(cmd *cobra.Command, v any, text func(c *Console)) error {
	w := cmd.OutOrStdout()
	switch o {
	case JSON:
		return WriteJSON(w, v)
	case YAML:
		return writeYAML(w, v)
	}
	c := newConsole(cmd)
	text(c)
	_, err := io.WriteString(w, c.String())
	return err
}

// WriteJSON writes indented JSON for people and programs.
func WriteJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// writeYAML writes the document that WriteJSON writes, as YAML.
func writeYAML(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var document any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&document); err != nil {
		return err
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(withNumbers(document)); err != nil {
		return err
	}
	return encoder.Close()
}

// withNumbers replaces numbers as JSON has them: whole ones stay whole, however large.
func withNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return whole
		}
		if number, err := v.Float64(); err == nil {
			return number
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = withNumbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = withNumbers(v[key])
		}
	}
	return value
}

// ExitError is an exit code, for a command that has printed its result.
type ExitError int

// Error implements error.
func (e ExitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
