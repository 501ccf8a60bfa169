package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The index in README.md names every test and every row of docs/faults.md, and
// nothing else.
func TestIndexNamesEveryTest(t *testing.T) {
	index := read(t, "README.md")
	tests := map[string]bool{}
	for _, folder := range []string{".", "stack", "deploy", "page", "cluster", "soak"} {
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(read(t, file), -1) {
				tests[strings.TrimPrefix(folder+".", "..")+match[1]] = true
			}
		}
	}
	for _, name := range regexp.MustCompile(`(?:\w+\.)?\bTest\w+`).FindAllString(index, -1) {
		if !tests[name] {
			t.Errorf("README.md names %s, which does not exist", name)
		}
	}
	for name := range tests {
		if !regexp.MustCompile(`[ ,]` + regexp.QuoteMeta(name) + `\b`).MatchString(index) {
			t.Errorf("README.md lacks %s", name)
		}
	}
	rows := regexp.MustCompile(`(?m)^\| ([^|]+) \|`).FindAllStringSubmatch(read(t, "../docs/faults.md"), -1)
	if len(rows) < 10 {
		t.Fatalf("docs/faults.md has %d rows", len(rows))
	}
	for _, row := range rows {
		if !strings.Contains(index, "\n| "+row[1]+" | ") {
			t.Errorf("README.md lacks the row %q of docs/faults.md", row[1])
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
