package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const measured = `goos: linux
BenchmarkVersion-2   	 100	   0 ns/op	 200 direct-p50-us	 400 proxied-p50-us	 2.000 p50-ratio
BenchmarkForwardVersion-2 	 100	   0 ns/op	 20 direct-p50-µs
    bench_test.go:10: BenchmarkLog has words
BenchmarkWarmPull/candidates=4/rtt=20ms-2  5  0 ns/op  150000 direct-p50-us  180000 proxied-p50-us  1.200 p50-ratio  3 direct-requests  4 proxied-requests
BenchmarkFleet/nodes=10-2 	 1	 281422624 ns/op	 5.000 beside/node	 14.00 cold/node	 1.000 later/node	 1.000 peak/s	 1.000 warm/node
PASS
`

func runOn(t *testing.T, text string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(args, strings.NewReader(text), &out)
	return out.String(), err
}

func TestTablesShowWhatWasMeasured(t *testing.T) {
	t.Parallel()
	out, err := runOn(t, measured)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| Version | 200 µs | 400 µs | 2.00 |",
		"| WarmPull, candidates 4, rtt 20ms | 150.0 ms | 180.0 ms | 1.20 | 3 | 4 |",
		"| Fleet, nodes 10 | 14 | 1 | 1 | 5 | 1 |",
	} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("no row %q in\n%s", line, out)
		}
	}
	if _, err := runOn(t, "PASS\n"); err == nil {
		t.Error("no benchmark is no error")
	}
}

func TestARegressionIsFound(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, err := runOn(t, measured, "-write", folder); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, old, new string
		worse          string
	}{
		{"the same", "", "", ""},
		{"noise", "1.200 p50-ratio", "1.700 p50-ratio", ""},
		{"other times, the same ratio", "150000 direct", "900000 direct", ""},
		{"better", "2.000 p50-ratio", "1.000 p50-ratio", ""},
		{"a worse ratio", "1.200 p50-ratio", "1.900 p50-ratio", "WORSE: WarmPull/candidates=4/rtt=20ms, p50-ratio: 1.90, was 1.20, at most 1.80"},
		{"a request more", "1.000 later/node", "2.000 later/node", "WORSE: Fleet/nodes=10, later/node: 2.00, was 1.00, at most 1.50"},
		{"fewer benchmarks", "BenchmarkFleet", "BenchmarkOther", ""},
	} {
		out, err := runOn(t, strings.Replace(measured, tt.old, tt.new, 1), "-check", folder)
		if (err != nil) != (tt.worse != "") || !strings.Contains(out, tt.worse) {
			t.Errorf("%s: %v\n%s", tt.name, err, out)
		}
	}
	if _, err := runOn(t, "BenchmarkElse-2 1 1 ns/op\n", "-check", folder); err == nil {
		t.Error("nothing to compare is no error")
	}
}

func TestPlotsAreImages(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, err := runOn(t, measured, "-write", folder); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(folder, "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	plots, err := filepath.Glob(filepath.Join(folder, "*.svg"))
	if err != nil || len(plots) != 2 {
		t.Fatalf("plots %q, %v", plots, err)
	}
	for _, plot := range plots {
		if !strings.Contains(string(page), "]("+filepath.Base(plot)+")") {
			t.Errorf("the page does not show %s", plot)
		}
		text, err := os.ReadFile(plot)
		if err != nil {
			t.Fatal(err)
		}
		for dec := xml.NewDecoder(bytes.NewReader(text)); ; {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", plot, err)
			}
		}
	}
}
