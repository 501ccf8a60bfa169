package main

import (
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
)

// What the policy makes of a decision is printed where it is
// not simply the choice.
func TestExplainPrintsWhatThePolicyMakesOfADecision(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		explained explained
		want      string // after the table
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
		var out strings.Builder
		test.explained.print(&out, false)
		_, after, _ := strings.Cut(out.String(), "\n") // the head of the table
		if after != test.want {
			t.Errorf("%s: got %q, want %q", name, after, test.want)
		}
	}
}
