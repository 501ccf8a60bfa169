package main

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/selector"
)

// What the policy makes of a decision is printed where it is
// not simply the choice.
func TestExplainPrintsWhatThePolicyMakesOfADecision(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		explained explained
		want      string
	}{
		"the choice": {explained{Action: policy.Pulled, Because: "best", Mode: policy.Enforce}, "\nbest\n"},
		"left to the runtime": {
			explained{Action: policy.Forwarded, Because: "no artifact, left to the runtime", Mode: policy.Enforce},
			"\nbest\nno artifact, left to the runtime\n",
		},
		"audit": {
			explained{Action: policy.Refused, Because: "best", Mode: policy.Audit},
			"\nbest\nThe mode here is audit: the pull would be forwarded unchanged, not refused.\n",
		},
		"audit of what is forwarded anyway": {explained{Action: policy.Forwarded, Because: "best", Mode: policy.Audit}, "\nbest\n"},
	} {
		test.explained.Decision = &decision.Decision{Reason: "best"}
		var out cli.Console
		test.explained.print(&out)
		if got := out.String(); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestExplainShowsEveryEntryInTheOrderOfTheIndex(t *testing.T) {
	t.Parallel()
	const hex = "0123456789ab0123456789ab0123456789ab0123456789ab0123456789ab0123"
	d := &decision.Decision{
		Reference: "registry.example/app:1", Platform: "linux/amd64", Index: "sha256:" + hex, Choice: 1, Reason: "because",
		Others: []decision.Other{
			{Entry: 0, Digest: "sha256:" + hex, Reason: "artifact of type application/x"},
			{Entry: 2, Digest: "sha256:" + hex, Platform: "unknown/unknown", Reason: "attestation"},
			{Entry: 4, Digest: "sha256:" + hex, Reason: "cannot be read"},
		},
		Candidates: []decision.Candidate{
			{Entry: 1, Platform: "linux/amd64", Outcome: selector.Fits, Rank: 2},
			{Entry: 3, Platform: "linux/amd64/v3", Outcome: selector.Fits, Rank: 1, Requirements: []decision.RequirementResult{
				{Want: "cpu.x86_64 level >= 3", Have: "is 3", Outcome: selector.Fits, Importance: "required"},
				{Want: "one of:", Have: "none fits", Outcome: selector.Unfit, Importance: "required"},
				{Want: "cpu.cpuid NEON", Have: "absent", Outcome: selector.Unfit, Importance: "required", Depth: 1},
				{Want: "cpu.cpuid AMX", Have: "absent", Outcome: selector.Unfit, Importance: "preferred"},
			}},
		},
	}
	var out cli.Console
	printDecision(&out, d, "chosen")
	want := `ENTRY                                 VERDICT                          RANK        WANT                        HAVE
sha256:0123456789ab                   artifact of type application/x   -
linux/amd64                           fits                             2           nothing
unknown/unknown@sha256:0123456789ab   attestation                      -
linux/amd64/v3                        fits                             1, chosen   cpu.x86_64 level >= 3       is 3
                                                                                   one of:                     none fits, does not fit
                                                                                     cpu.cpuid NEON            absent
                                                                                   cpu.cpuid AMX [preferred]   absent
sha256:0123456789ab                   cannot be read                   -

because
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestExplainEndsWithTheCodeOfItsOutcome(t *testing.T) {
	t.Parallel()
	other := []decision.Other{{Platform: "linux/arm64", Reason: "for another architecture"}}
	unfit := []decision.Candidate{{Outcome: selector.Unfit}}
	for name, tt := range map[string]struct {
		decision decision.Decision
		want     error
	}{
		"fits":                   {decision.Decision{Candidates: []decision.Candidate{{Outcome: selector.Fits}}}, nil},
		"only unknown":           {decision.Decision{Candidates: []decision.Candidate{{Outcome: selector.Unknown}}}, cli.ExitError(4)},
		"none fits":              {decision.Decision{Candidates: unfit, Choice: decision.None}, cli.ExitError(3)},
		"none, and one not read": {decision.Decision{Candidates: unfit, Choice: decision.None, Unevaluated: "x"}, cli.ExitError(4)},
		"no entry for this node": {decision.Decision{Others: other, Choice: decision.None}, cli.ExitError(3)},
		"the index is not read":  {decision.Decision{Choice: decision.None, Unevaluated: "x"}, cli.ExitError(4)},
		"no entries":             {decision.Decision{Choice: decision.None}, cli.ExitError(3)},
	} {
		if got := exitOf(tt.decision.Outcome()); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestExplainSaysWhatAPullWouldDoWithoutARegistry explains an image of a registry that is not there.
func TestExplainSaysWhatAPullWouldDoWithoutARegistry(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"forward": "a pull would be forwarded to the runtime unchanged", "refuse": "a pull would be refused (policy.registry_error)",
	} {
		_, config := nodeDir(t, `policy.registry_error = "`+answer+`"`)
		cmd := newRootCommand()
		cmd.SetArgs([]string{"--config", config, "explain", "127.0.0.1:1/app:1"})
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", answer, err, want)
		}
	}
}

// TestExplainTracesRequestsAndSteps: with --trace each request is a line on stderr; a registry
// that does not answer leaves how long each step took in any case.
func TestExplainTracesRequestsAndSteps(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	reg := fakeregistry.New(t, fakeregistry.Options{})
	reg.Index("1", reg.Image("linux/amd64", "a"), reg.Image("linux/arm64", "b"))
	_, config := nodeDir(t, "")
	line := regexp.MustCompile(`(?m)^at +[0-9.]+[µm]?s +[0-9.]+[µm]?s  200 +[0-9]+ B  GET  ` + regexp.QuoteMeta(reg.URL) + `/v2/\S+/manifests/1$`)
	got := tool(t, "", "explain", "--config", config, "--trace", "--facts", "live", reg.Reference(":1"))
	if got.err != nil && !errors.As(got.err, new(cli.ExitError)) || !line.MatchString(got.stderr) || strings.Contains(got.stdout, reg.URL) {
		t.Errorf("%v\n%s\n%s", got.err, got.stdout, got.stderr)
	}
	if got = tool(t, "", "explain", "--config", config, reg.Reference(":1")); got.stderr != "" {
		t.Errorf("without --trace: %s", got.stderr)
	}
	if got = tool(t, "", "explain", "--config", config, reg.Reference(":2")); got.err == nil || got.stderr != "" {
		t.Errorf("of what the registry does not have: %v, %s", got.err, got.stderr)
	}
	reg.Answer(func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	})
	got = tool(t, "", "explain", "--config", config, "--set", "proxy.select_timeout=600ms", reg.Reference(":3"))
	if got.err == nil || !strings.HasPrefix(got.stderr, "imagefit: resolve took ") || !strings.Contains(got.err.Error(), "a pull would be forwarded") {
		t.Errorf("of a registry that hangs: %v, %q", got.err, got.stderr)
	}
	got = tool(t, "", "explain", "--config", config, "--trace", "127.0.0.1:1/app:1")
	for _, want := range []string{"no answer", "/v2/app/manifests/1: dial tcp 127.0.0.1:1: connect: connection refused\n", "\nimagefit: resolve took ", "refused\n"} {
		if got.err == nil || !strings.Contains(got.stderr, want) {
			t.Errorf("%q is not in\n%s", want, got.stderr)
		}
	}
}

func TestExplainShowsThePrioritiesOfTheAuthor(t *testing.T) {
	t.Parallel()
	candidates := []decision.Candidate{
		{Platform: "linux/amd64", Outcome: selector.Fits, Rank: 2},
		{Entry: 1, Platform: "linux/amd64/v3", Outcome: selector.Fits, Rank: 1, Properties: []string{"x86_64 :: level :: v3"}},
	}
	for name, tt := range map[string]struct {
		priorities *decision.Priorities
		want       string
	}{
		"none": {nil, ""},
		"some": {&decision.Priorities{Properties: []string{"x86_64 :: level :: v3", "null"}}, `
The author prefers, in this order: x86_64 :: level :: v3, null
  linux/amd64 has none of these
  linux/amd64/v3 has x86_64 :: level :: v3
`},
		"unreadable": {&decision.Priorities{Problem: "more than 64 properties"}, `
The author's priorities cannot be read and do not matter: more than 64 properties
`},
	} {
		var out cli.Console
		printDecision(&out, &decision.Decision{Candidates: candidates, Choice: 1, Priorities: tt.priorities, Reason: "because"}, "best")
		_, got, _ := strings.Cut(out.String(), "\nlinux/amd64/v3   fits      1, best   nothing\n")
		if got != tt.want+"\nbecause\n" {
			t.Errorf("%s: got\n%s", name, out.String())
		}
	}
}
