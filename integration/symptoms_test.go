package integration

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const symptomsPage = "../docs/troubleshooting.md"

// played is a situation that somebody is in.
type played struct {
	f *fit
	// ref is the image that it is about, seen what is seen of it.
	ref, seen string
	// mend does what the page says, and fails unless that helps.
	mend func(t *testing.T)
}

// symptom is a row of the page.
type symptom struct{ seen, command, answer string }

// code are the parts of a cell that are in code.
func code(cell string) (texts []string) {
	for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		texts = append(texts, match[1])
	}
	return texts
}

// symptoms reads the table of the page.
func symptoms(t *testing.T) map[string]symptom {
	t.Helper()
	_, text, _ := strings.Cut(read(t, symptomsPage), "\n# By symptom\n")
	text, _, _ = strings.Cut(text, "\n# ")
	found := map[string]symptom{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(text, -1) {
		if commands := code(row[2]); len(commands) == 1 {
			found[row[1]] = symptom{row[1], commands[0], row[3]}
		}
	}
	return found
}

// TestSymptomsLeadToTheirCause plays each row of the page: the symptom is seen, the
// command answers what the page says, and the remedy helps.
func TestSymptomsLeadToTheirCause(t *testing.T) {
	scenes := map[string]func(*testing.T) played{}
	maps.Copy(scenes, symptomsOfVariants())
	maps.Copy(scenes, symptomsOfDaemons())
	ofPods := symptomsOfPods()
	for seen := range symptoms(t) {
		if scenes[seen] == nil && ofPods[seen] == nil {
			t.Errorf("no test plays %q of %s", seen, symptomsPage)
		}
	}
	for _, seen := range slices.Sorted(maps.Keys(scenes)) {
		t.Run(seen, func(t *testing.T) { testSymptom(t, seen, scenes[seen](t)) })
	}
}

// TestSymptomsOfPodsLeadToTheirCause does so with a real kubelet.
func TestSymptomsOfPodsLeadToTheirCause(t *testing.T) {
	n := startNode(t, kubeletSetups()["image endpoint"])
	scenes := symptomsOfPods()
	for _, seen := range slices.Sorted(maps.Keys(scenes)) {
		t.Run(seen, func(t *testing.T) { testSymptom(t, seen, scenes[seen](t, n)) })
	}
}

func testSymptom(t *testing.T, seen string, p played) {
	t.Helper()
	row, ok := symptoms(t)[seen]
	if !ok {
		t.Fatalf("%s has no row %q", symptomsPage, seen)
	}
	for _, text := range code(row.seen) {
		if text != "explain" && !like(text).MatchString(p.seen) {
			t.Errorf("the symptom is\n%s\nand the page says %q", p.seen, text)
		}
	}
	answer := p.f.answer(t, strings.Fields(strings.ReplaceAll(row.command, "IMAGE", p.ref))...)
	for _, text := range code(row.answer) {
		if !like(text).MatchString(answer) {
			t.Errorf("%s answers\n%s\nand the page says %q", row.command, answer, text)
		}
	}
	if !t.Failed() {
		p.mend(t)
	}
}

// like matches lines with the parts of a text, in order. Columns are apart as far as they are.
func like(text string) *regexp.Regexp {
	var parts []string
	for part := range strings.SplitSeq(text, "...") {
		parts = append(parts, regexp.QuoteMeta(strings.TrimSpace(part)))
	}
	return regexp.MustCompile(strings.Join(parts, ".*"))
}

// answer is all that the tool prints, on the node's own configuration.
func (f *fit) answer(t *testing.T, command ...string) string {
	t.Helper()
	if len(command) < 2 || command[0] != "imagefit" {
		t.Fatalf("%q is not a command of imagefit", command)
	}
	cmd := f.toolCommand(t, t.Context(), command[1:]...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out)
}

// attach replaces what an image needs, as an author would.
func (f *fit) attach(t *testing.T, image, attributes string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "needs.json")
	if err := os.WriteFile(file, []byte(`{"compatibilities": {"nfd": {`+attributes+`}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := f.toolCommand(t, t.Context(), "attach", "--replace", image, file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// rewrite changes a text of the configuration.
func (f *fit) rewrite(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), from, to, 1)
	if changed == string(text) {
		t.Fatalf("the configuration does not have %q", from)
	}
	if err := os.WriteFile(f.Config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not yet: %s", what)
		}
	}
}
