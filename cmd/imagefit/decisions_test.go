package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/policy"
)

// history is a node with decisions.
func history(t *testing.T) (dir, config string) {
	t.Helper()
	dir, config = nodeDir(t)
	now := time.Now()
	keep(t, dir,
		decisionlog.Record{Time: now.Add(-3 * time.Hour), Program: "cri-proxy", Action: policy.Pulled, Reference: "registry.example/old:1",
			Namespace: "shop", Pod: "web", Reason: "linux/amd64 of registry.example/old:1 is the best of 2 candidates"},
		decisionlog.Record{Time: now.Add(-30 * time.Minute), Program: "cri-proxy", Action: policy.Forwarded, Would: policy.Refused,
			Reference: "registry.example/app:1", Namespace: "shop", Reason: "no variant of registry.example/app:1 fits"},
		decisionlog.Record{Time: now, Program: "nri-plugin", Action: policy.Refused, Reference: "registry.example/app:2",
			Namespace: "infra", Pod: "db", Container: "db", Reason: "it does not fit", Error: "\x1b[31mred\nline"},
	)
	return dir, config
}

func TestDecisionsAreFilteredAndLimited(t *testing.T) {
	t.Parallel()
	_, config := history(t)
	for name, test := range map[string]struct {
		args []string
		want []string // parts of the lines after the head
	}{
		"all":       {nil, []string{"old:1", "app:1", "app:2"}},
		"since":     {[]string{"--since", "1h"}, []string{"app:1", "app:2"}},
		"action":    {[]string{"--action", "refused"}, []string{"app:1", "app:2"}},
		"program":   {[]string{"--program", "nri-plugin"}, []string{"infra/db/db"}},
		"namespace": {[]string{"--namespace", "shop"}, []string{"shop/web", "shop "}},
		"pod":       {[]string{"--pod", "web"}, []string{"old:1"}},
		"reference": {[]string{"--reference", "example/app"}, []string{"app:1", "app:2"}},
		"limit":     {[]string{"--limit", "1"}, []string{"app:2: it does not fit: ?[31mred; line"}},
		"no limit":  {[]string{"--limit", "0"}, []string{"old:1", "app:1", "app:2"}},
		"none":      {[]string{"--pod", "absent"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := tool(t, "", append([]string{"decisions", "--config", config}, test.args...)...)
			lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
			if got.err != nil || len(lines) != len(test.want)+1 || !strings.HasPrefix(lines[0], "TIME") {
				t.Fatalf("%v: %s", got.err, got.stdout)
			}
			for i, want := range test.want {
				if !strings.Contains(lines[i+1], want) {
					t.Errorf("line %d has no %q: %s", i, want, lines[i+1])
				}
			}
			if name == "limit" != strings.Contains(got.stderr, "last 1 of 3, --limit 0 shows all") ||
				name == "none" != strings.Contains(got.stderr, "no matching decisions") {
				t.Errorf("stderr %q", got.stderr)
			}
		})
	}
}

func TestDecisionsTellHowLongTheyTook(t *testing.T) {
	t.Parallel()
	dir, config := nodeDir(t)
	keep(t, dir,
		decisionlog.Record{Time: time.Now(), Program: "cri-proxy", Action: policy.Pulled, Reference: "app:1",
			Decided: 12_345_678, Took: 3_456_789_012},
		decisionlog.Record{Time: time.Now(), Program: "nri-plugin", Action: policy.Admitted, Reference: "app:1", Took: 42_000},
	)
	got := strings.Split(toolOK(t, "decisions", "--config", config), "\n")
	for i, want := range []string{"DECIDED      TOOK   POD", " 12.3ms     3.46s   -", "      -    <100µs   -"} {
		if !strings.Contains(got[i], want) {
			t.Errorf("line %d has no %q: %q", i, want, got[i])
		}
	}
}

func TestDecisionsAsJSONAreAlwaysAList(t *testing.T) {
	t.Parallel()
	_, config := history(t)
	var records []decisionlog.Record
	got := toolOK(t, "decisions", "--config", config, "-o", "json")
	if err := json.Unmarshal([]byte(got), &records); err != nil || len(records) != 3 || records[1].Would != policy.Refused {
		t.Errorf("%v: %s", err, got)
	}
	if got := toolOK(t, "decisions", "--config", config, "-o", "json", "--pod", "absent"); got != "[]\n" {
		t.Errorf("nothing is %q", got)
	}
}

func TestMistakesInFlagsOfDecisionsAreExplained(t *testing.T) {
	t.Parallel()
	_, config := history(t)
	for _, test := range []struct{ args, want []string }{
		{[]string{"--action", "refuse"}, []string{"--action", "refused"}},
		{[]string{"--program", "containerd"}, []string{"--program", "nri-plugin"}},
		{[]string{"--since", "yesterday"}, []string{"--since", "yesterday", "24h"}},
		{[]string{"--since", "-1h"}, []string{"--since", "-1h"}},
		{[]string{"--limit", "-1"}, []string{"--limit -1"}},
		{[]string{"-o", "xml"}, []string{"-o", "json"}},
	} {
		wantError(t, tool(t, "", append([]string{"decisions", "--config", config}, test.args...)...).err, test.want...)
	}
	_, bad := nodeDir(t, "log_level = 3")
	for _, command := range []string{"decisions", "status"} { // which show what there is all the same
		got := tool(t, "", command, "--config", bad)
		if !strings.Contains(got.stderr, bad) || !strings.Contains(got.stderr, "log_level") || !strings.Contains(got.stderr, "continuing with") {
			t.Errorf("%s: %v, stderr %q", command, got.err, got.stderr)
		}
	}
	_, never := nodeDir(t)
	if got := tool(t, "", "decisions", "--config", never); got.err != nil || !strings.Contains(got.stderr, "no daemon has run") {
		t.Errorf("%v %q", got.err, got.stderr)
	}
	at, err := sinceTime("2026-03-04T12:00:00Z", time.Now())
	if err != nil || at.Unix() != 1772625600 {
		t.Errorf("%v %v", at, err)
	}
}

// locked is a buffer that is read while it is written.
type locked struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestDecisionsAreFollowed(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"text": "REASON", "json": `{"time":"`} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir, config := history(t)
			ctx, cancel := context.WithCancel(t.Context())
			out := new(locked)
			cmd := newRootCommand()
			cmd.SetArgs([]string{"decisions", "-f", "--limit", "1", "-o", format, "--config", config, "--namespace", "infra"})
			cmd.SetOut(out)
			done := make(chan error, 1)
			go func() { done <- cmd.ExecuteContext(ctx) }()
			await := func(text string) {
				t.Helper()
				for deadline := time.Now().Add(10 * time.Second); !strings.Contains(out.String(), text); time.Sleep(10 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("no %q in %s", text, out)
					}
				}
			}
			await("app:2")
			for _, namespace := range []string{"shop", "infra"} {
				keep(t, filepath.Clean(dir), decisionlog.Record{Time: time.Now(), Action: policy.Admitted, Reference: "next-" + namespace + ":1", Namespace: namespace})
			}
			await("next-infra:1")
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if text := out.String(); strings.Contains(text, "next-shop") || strings.Contains(text, "old:1") || !strings.Contains(text, want) || strings.Count(text, "\n") > 3 {
				t.Errorf("%s", text)
			}
		})
	}
}

func TestFlagsOfDecisionsAreCompleted(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{"--action": "unfit\n", "--program": "nri-plugin\n", "-o": "json\n"} {
		if got := toolOK(t, "__complete", "decisions", flag, ""); !strings.Contains(got, want) {
			t.Errorf("%s: %q", flag, got)
		}
	}
}
