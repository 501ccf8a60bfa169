package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestEveryFlagAndCommandIsDocumented: docs/kubernetes.md names them.
func TestEveryFlagAndCommandIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	root := newRootCommand()
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		if !strings.Contains(string(page), cmd.CommandPath()) {
			t.Errorf("docs/kubernetes.md does not name %s", cmd.CommandPath())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(string(page), "--"+f.Name) {
				t.Errorf("docs/kubernetes.md does not name --%s of %s", f.Name, cmd.CommandPath())
			}
		})
	}
}

func TestWrongUseIsAnErrorOnOneLine(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"ungate":               "give either --all or --namespace",
		"ungate --all -n team": "give either --all or --namespace",
		"report-node":          "the name of the node is not known: give it with --node or in NODE_NAME",
		"report-node --node n --dimension nvidia": `--dimension "nvidia": write SET=ELEMENT`,
		"report-node --node n --dimension a=b,":   `--dimension "a=b,": write SET=ELEMENT`,
		"ungate --all --kubeconfig /absent":       "find the cluster: ",
		"--kubeconfigg x":                         "unknown flag: --kubeconfigg",
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(args), &bytes.Buffer{}, &stderr)
		if text := stderr.String(); code != 1 || !strings.HasPrefix(text, "imagefit-controller: "+want) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: code %d, %q", args, code, text)
		}
	}
}
