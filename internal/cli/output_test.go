package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestOutputPrintsInTheFormatOfTheFlag(t *testing.T) {
	t.Parallel()
	value := map[string]any{"key": "<value>", "numbers": []any{2042729151, 1.5}}
	for args, want := range map[string]string{
		"":                "as text\n",
		"-o json":         "{\n  \"key\": \"<value>\",\n  \"numbers\": [\n    2042729151,\n    1.5\n  ]\n}\n",
		"--output yaml":   "key: <value>\nnumbers:\n  - 2042729151\n  - 1.5\n",
		"-o labels":       "as text\n",
		"-o xml":          `error: invalid argument "xml" for "-o, --output" flag: want one of: text, json, yaml, labels`,
		"-o JSON":         `error: invalid argument "JSON" for "-o, --output" flag: want one of: text, json, yaml, labels`,
		"--output=":       `error: invalid argument "" for "-o, --output" flag: want one of: text, json, yaml, labels`,
		"-o json -o yaml": "key: <value>\nnumbers:\n  - 2042729151\n  - 1.5\n",
	} {
		var out bytes.Buffer
		var o Output
		cmd := &cobra.Command{SilenceErrors: true, SilenceUsage: true, RunE: func(cmd *cobra.Command, _ []string) error {
			return o.Print(cmd, value, func(c *Console) { c.WriteString("as text\n") })
		}}
		cmd.SetOut(&out)
		o.AddFlag(cmd, Text, JSON, "labels") // and YAML
		cmd.SetArgs(strings.Fields(args))
		if err := cmd.Execute(); err != nil {
			out.WriteString("error: " + err.Error())
		}
		if got := out.String(); got != want {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
}

func TestOneOfKeepsItsDefaultAndShowsItInTheHelp(t *testing.T) {
	t.Parallel()
	value := "b"
	cmd := &cobra.Command{}
	OneOf(cmd, &value, "letter", "", "which letter", []string{"a", "b"})
	if usage := cmd.Flags().FlagUsages(); !strings.Contains(usage, `--letter string   which letter: a, b (default "b")`) {
		t.Errorf("usage %q", usage)
	}
	if err := cmd.ParseFlags(nil); err != nil || value != "b" {
		t.Errorf("value %q, error %v", value, err)
	}
}
