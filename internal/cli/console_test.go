package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// printed is what a command prints that paints a word, by its arguments.
func printed(t *testing.T, run func(cmd *cobra.Command), args ...string) error {
	t.Helper()
	var o Output
	below := &cobra.Command{Use: "show", RunE: func(cmd *cobra.Command, _ []string) error {
		return o.Print(cmd, nil, func(c *Console) {
			c.WriteString(c.Paragraph(c.Paint(Bad, "refused") + " " + strings.Repeat("word ", 10)))
		})
	}}
	o.AddFlag(below, Text, JSON)
	root := &cobra.Command{Use: "root", SilenceErrors: true, SilenceUsage: true}
	ColorFlag(root)
	root.AddCommand(below)
	root.SetArgs(append([]string{"show"}, args...))
	run(root)
	return root.Execute()
}

func TestColorIsForTerminalsUnlessAskedFor(t *testing.T) {
	t.Setenv("NO_COLOR", "1") // which the flag overrides
	plain := "refused" + strings.Repeat(" word", 10) + " \n"
	for args, want := range map[string]string{
		"":               plain,
		"--color=auto":   plain,
		"--color=never":  plain,
		"--color=always": "\x1b[31mrefused\x1b[0m" + strings.TrimPrefix(plain, "refused"),
	} {
		var out bytes.Buffer
		err := printed(t, func(cmd *cobra.Command) { cmd.SetOut(&out) }, strings.Fields(args)...)
		if got := out.String(); err != nil || got != strings.Replace(want, " \n", "\n", 1) {
			t.Errorf("%q: %v, got %q", args, err, got)
		}
	}
	if err := printed(t, func(*cobra.Command) {}, "--color=red"); err == nil || !strings.Contains(err.Error(), "want one of: auto, always, never") {
		t.Errorf("--color=red: %v", err)
	}
}

func TestAParagraphWrapsToTheTerminal(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		width int
		want  string
	}{
		"no terminal":     {0, "registry.example/app:1 does not fit\n"},
		"wide enough":     {35, "registry.example/app:1 does not fit\n"},
		"narrow":          {34, "registry.example/app:1 does not\nfit\n"},
		"words are whole": {10, "registry.example/app:1\ndoes not\nfit\n"},
	} {
		if got := (&Console{width: tt.width}).Paragraph("registry.example/app:1 does not fit"); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, tt.want)
		}
	}
}
