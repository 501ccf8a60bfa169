package main

import (
	"os"
	"strings"
	"testing"
)

// commandBlocks are the commands of a page: the lines that are indented, or of a block of
// sh. One behind the mark below is left out.
func commandBlocks(t *testing.T, page string) (commands []string) {
	t.Helper()
	const needsNode = "<!-- not run by a test: needs "
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	marked := false
	for line := range strings.Lines(string(text)) {
		command, isCommand := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		switch {
		case strings.HasPrefix(line, "```"):
			t.Errorf("%s has a fenced block, which is not run: indent it", page)
		case strings.HasPrefix(line, needsNode):
			marked = true
		case isCommand && !marked:
			commands = append(commands, command)
		case strings.TrimSpace(line) != "" && !isCommand:
			marked = false
		}
	}
	return commands
}

// TestCommandsOfTheInstallationPagesRun in the order of the pages, on the tree of a node.
func TestCommandsOfTheInstallationPagesRun(t *testing.T) {
	t.Parallel()
	root, programs := kubeadmTree(t)
	_, config := nodeDir(t)
	ran := 0
	for _, page := range []string{"install.md", "uninstall.md", "faq.md"} {
		for _, command := range commandBlocks(t, page) {
			args := strings.Fields(strings.NewReplacer("ROOT", root, "PROGRAMS", programs).Replace(strings.TrimPrefix(command, "sudo ")))
			if strings.TrimPrefix(args[0], "./") != "imagefit" {
				t.Errorf("%s: %q is neither imagefit nor marked as needing a node", page, command)
				continue
			}
			args = args[1:]
			switch args[0] {
			case "install":
				args = append(args, "--root", root, "--programs", programs)
			case "uninstall":
				args = append(args, "--root", root)
			default:
				args = append(args, "--config", config)
			}
			ran++
			// Some look at a node that is not here; what is wrong with the command itself is an error of usage.
			got := tool(t, "", args...)
			if got.err != nil && (args[0] == "install" || args[0] == "uninstall" || strings.Contains(got.err.Error(), "unknown")) {
				t.Errorf("%s: %s: %v\n%s", page, command, got.err, got.stderr)
			}
		}
	}
	if ran < 9 {
		t.Errorf("only %d commands were found", ran)
	}
}
