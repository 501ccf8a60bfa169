package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/golden"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

const zenRoot = "../../pkg/hostfacts/testdata/amd-zen/root"

// imagefit runs one command line in this process.
func imagefit(args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	code = run(context.Background(), args, &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestFactsArePrintedAsText(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"amd-zen.txt":         {"facts", "--root", zenRoot},
		"no-sys.txt":          {"facts", "--root", "../../pkg/hostfacts/testdata/no-sys/root"},
		"arm64-graviton2.txt": {"facts", "--root", "../../pkg/hostfacts/testdata/arm64-graviton2/root", "--family", "cpu"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := imagefit(args...)
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d, stderr %q", code, stderr)
			}
			golden.Equal(t, filepath.Join("testdata", "facts", name), stdout)
		})
	}
}

func TestFactsJSONIsReadBack(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := imagefit("facts", "--root", zenRoot, "-o", "json")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	facts, err := hostfacts.Parse(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	want := hostfacts.Collect(context.Background(), hostfacts.NewRoot(zenRoot))
	if facts.Fingerprint() != want.Fingerprint() {
		t.Errorf("fingerprint %s, want %s", facts.Fingerprint(), want.Fingerprint())
	}
}

func TestFactsFamilyJSON(t *testing.T) {
	t.Parallel()
	_, stdout, _ := imagefit("facts", "--root", zenRoot, "-o", "json", "--family", "memory")
	known, err := hostfacts.Parse(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	if got := known.Lookup("memory.numa", "is_numa").Value; got != "true" {
		t.Errorf("is_numa %q", got)
	}
	if got := known.Lookup("cpu.cpuid", "AVX2").State; got != facts.Unknown {
		t.Errorf("cpu.cpuid AVX2 is %v in --family memory", got)
	}
}

func TestLargeSetIsCountedUnlessAsked(t *testing.T) {
	t.Parallel()
	facts := facts.New("linux", "", facts.Features{
		Attributes: map[string]map[string]string{"kernel.config": {"A": "y", "B": "m", "C": "x\x1b[2J"}},
	})
	for limit, want := range map[int]string{2: "(list them with --family kernel)", 3: `C  "x\x1b[2J"`} {
		var b strings.Builder
		writeFacts(&b, facts, limit)
		if got := b.String(); !strings.Contains(got, want) || strings.Contains(got, "\x1b") {
			t.Errorf("limit %d: %q lacks %q", limit, got, want)
		}
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"output": {[]string{"facts", "-o", "xml"}, "imagefit: invalid argument \"xml\" for \"-o, --output\" flag: want one of: text, json, yaml, labels\n"},
		"family": {[]string{"facts", "--root", zenRoot, "--family", "gpus"}, "imagefit: --family \"gpus\": want one of: " +
			strings.Join(hostfacts.Families(), ", ") + "\n"},
		"root":             {[]string{"facts", "--root", "/nonexistent-root"}, "imagefit: open --root: stat /nonexistent-root: no such file or directory\n"},
		"no archive":       {[]string{"facts", "--root", "main.go"}, "imagefit: open --root: read snapshot main.go: gzip: invalid header\n"},
		"diff of one":      {[]string{"facts", "diff", "live"}, "imagefit: imagefit facts diff is used as: imagefit facts diff A B [flags]\n"},
		"diff of stdin":    {[]string{"facts", "diff", "-", "-"}, "imagefit: only one of A and B can be standard input\n"},
		"diff of nothing":  {[]string{"facts", "diff", "live", "/nonexistent-file"}, "imagefit: load B: stat /nonexistent-file: no such file or directory\n"},
		"diff of no facts": {[]string{"facts", "diff", "main.go", "live"}, "imagefit: load A: main.go: "},
		"snapshot nowhere": {[]string{"facts", "snapshot", "/nonexistent-dir/x.tar.gz"}, "imagefit: save snapshot: create /nonexistent-dir/x.tar.gz: no such file"},
		"command":          {[]string{"fatcs"}, "imagefit: unknown command \"fatcs\" of imagefit (is facts meant?)\n"},
		"flag":             {[]string{"facts", "--rooot"}, "imagefit: unknown flag --rooot of imagefit facts (is --root meant?)\n"},
		"args":             {[]string{"facts", "extra"}, "imagefit: unknown command \"extra\" of imagefit facts: there are diff, snapshot\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := imagefit(tt.args...)
			if !strings.HasPrefix(stderr, tt.want) || code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %q", code, stdout, stderr, tt.want)
			}
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--version"}, {"--config", "/nonexistent", "facts", "--root", zenRoot}, {}, {"--help"}, {"completion", "bash"}} {
		code, stdout, stderr := imagefit(args...)
		if code != 0 || stdout == "" || stderr != "" {
			t.Errorf("%q: exit code %d, stdout %.40q, stderr %q", args, code, stdout, stderr)
		}
	}
}

func TestCompletionOffersValues(t *testing.T) {
	t.Parallel()
	_, stdout, _ := imagefit("__complete", "facts", "--family", "")
	if !strings.HasPrefix(stdout, strings.Join(hostfacts.Families(), "\n")+"\n:") {
		t.Errorf("got %q", stdout)
	}
}
