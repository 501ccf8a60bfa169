package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// result is what one command line printed and returned.
type result struct {
	stdout, stderr string
	err            error
}

// tool runs one command line in this process, with stdin.
func tool(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := newRootCommand()
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	err := cmd.ExecuteContext(t.Context())
	return result{out.String(), errOut.String(), err}
}

// toolOK is tool for a command that must succeed; it returns stdout.
func toolOK(t *testing.T, args ...string) string {
	t.Helper()
	got := tool(t, "", args...)
	if got.err != nil {
		t.Fatalf("%q: %v", args, got.err)
	}
	return got.stdout
}

// write writes a file of the test's own and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantError checks that an error has one line with all of these texts.
func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q lacks %q", err, text)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has several lines: %q", err)
	}
}

// walk visits every command in the help.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
		return
	}
	visit(cmd)
	for _, c := range cmd.Commands() {
		walk(c, visit)
	}
}

// TestEveryCommandIsDocumented fails where docs/cli.md lacks a command or a
// flag, or has a command that is no more.
func TestEveryCommandIsDocumented(t *testing.T) {
	t.Parallel()
	sections, err := cliSections("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range undocumented(newRootCommand(), sections) {
		t.Error(problem)
	}
}

func undocumented(root *cobra.Command, sections map[string]string) []string {
	var problems []string
	known := map[string]bool{}
	walk(root, func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		known[path] = true
		text, ok := sections[path]
		if !ok {
			problems = append(problems, "docs/cli.md has no heading for "+path)
			return
		}
		cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && f.Name != "version" && !f.Hidden && !strings.Contains(text, "`--"+f.Name) {
				problems = append(problems, "docs/cli.md does not say what --"+f.Name+" of "+path+" does")
			}
		})
	})
	for path := range sections {
		if !known[path] {
			problems = append(problems, "docs/cli.md has "+path+", which is no command")
		}
	}
	return problems
}

// cliSections are the texts below the headings that name a command.
func cliSections(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sections := map[string]string{}
	for part := range strings.SplitSeq("\n"+string(text), "\n#") {
		heading, rest, _ := strings.Cut(part, "\n")
		path := strings.Trim(heading, "# `")
		if strings.HasPrefix(path, "imagefit") {
			sections[path] = rest
		}
	}
	if len(sections) == 0 {
		return nil, errors.New("no heading names a command")
	}
	return sections, nil
}

func TestUndocumentedIsFound(t *testing.T) {
	t.Parallel()
	root := newRootCommand()
	sections, err := cliSections("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	extra := &cobra.Command{Use: "frobnicate", Run: func(*cobra.Command, []string) {}}
	root.AddCommand(extra)
	list, _, err := root.Find([]string{"list"})
	if err != nil {
		t.Fatal(err)
	}
	list.Flags().Bool("loud", false, "")
	sections["imagefit gone"] = ""
	got := strings.Join(undocumented(root, sections), "\n")
	for _, want := range []string{"no heading for imagefit frobnicate", "--loud of imagefit list", "imagefit gone, which is no command"} {
		if !strings.Contains(got, want) {
			t.Errorf("not found: %s", want)
		}
	}
}

func TestEveryCommandHelps(t *testing.T) {
	t.Parallel()
	walk(newRootCommand(), func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" && cmd.HasParent() && !cmd.HasSubCommands() {
			t.Errorf("%s has no short text or no example", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(cmd.Long, "\n") {
			if len(line) > 82 {
				t.Errorf("%s: line of the long text is too long: %s", cmd.CommandPath(), line)
			}
		}
	})
}

func TestManualPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	toolOK(t, "man", dir)
	walk(newRootCommand(), func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		page, err := os.ReadFile(filepath.Join(dir, "man1", name))
		if err != nil || !bytes.Contains(page, []byte(".SH SYNOPSIS")) {
			t.Errorf("%s: %v", name, err)
		}
	})
	for name, want := range map[string]string{
		"man8/cri-proxy.8": "imageServiceEndpoint", "man8/nri-plugin.8": "fB--config\\fP", "man5/imagefit-config.toml.5": "exempt_namespaces = [",
	} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(page, []byte(want)) || !bytes.Contains(page, []byte(".SH SEE ALSO")) {
			t.Errorf("%s: %v\n%s", name, err, page)
		}
	}
	wantError(t, tool(t, "", "man", "main.go").err, "main.go", "not a directory")
}

func TestVersionIsOneLineOrJSON(t *testing.T) {
	t.Parallel()
	var v versionInfo
	if err := json.Unmarshal([]byte(toolOK(t, "version", "-o", "json")), &v); err != nil || v.Version == "" || v.Platform == "" {
		t.Errorf("%+v, %v", v, err)
	}
	if text := toolOK(t, "version"); text != fmt.Sprintf("imagefit %s (%s, %s)\n", v.Version, v.Go, v.Platform) {
		t.Errorf("%q", text)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"dialects":   {[]string{"attach", "--dialect", ""}, "nfd-v1alpha1\n"},
		"outputs":    {[]string{"list", "-o", ""}, "json\n"},
		"spec names": {[]string{"spec", "show", ""}, "io.archspec\n"},
		"graphs":     {[]string{"spec", "show", "--graph="}, "dot\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := toolOK(t, append([]string{"__complete"}, tt.args...)...); !strings.Contains(got, tt.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}
