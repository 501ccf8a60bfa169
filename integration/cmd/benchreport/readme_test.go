package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheNumbersOfTheReadmeAreThoseOfTheReport: whoever writes the report writes them too.
func TestTheNumbersOfTheReadmeAreThoseOfTheReport(t *testing.T) {
	t.Parallel()
	const root = "../../.."
	text, err := os.ReadFile(filepath.Join(root, "docs", kept))
	if err != nil {
		t.Fatal(err)
	}
	var report Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := report.readme()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), want) {
		t.Errorf("README.md does not have the table of docs/%s, which make bench-report writes:\n%s", kept, want)
	}
}

func TestOnlyTheTableOfAReadmeIsReplaced(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "README.md")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	report := func(ratio float64) Report {
		var r Report
		for _, h := range headlines() {
			r.Results = append(r.Results, Result{h.name, map[string]float64{"direct-p50-us": 100, "proxied-p50-us": 200_000, "p50-ratio": ratio}})
		}
		return r
	}
	write("before\n" + beginReadme + "old\n" + endReadme + "after\n")
	for _, ratio := range []float64{2, 3} {
		if err := report(ratio).writeReadme(file); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	got := string(text)
	if err != nil || !strings.HasPrefix(got, "before\n"+beginReadme) || !strings.HasSuffix(got, endReadme+"after\n") ||
		strings.Contains(got, "old") || !strings.Contains(got, "| a call that is forwarded | 100 µs | 200.0 ms | 3.00 |\n") {
		t.Errorf("%v\n%s", err, got)
	}
	if err := (Report{}).writeReadme(file); err == nil || !strings.Contains(err.Error(), "benchmark Version was not run") {
		t.Errorf("without numbers: %v", err)
	}
	write("no table\n")
	if err := report(2).writeReadme(file); err == nil || !strings.Contains(err.Error(), "has no lines between") {
		t.Errorf("without a place: %v", err)
	}
}
