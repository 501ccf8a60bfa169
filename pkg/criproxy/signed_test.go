package criproxy

import (
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// TestASignedIndexVouchesForItsVariants where the runtime verifies images and the policy
// allows it; else the pull is forwarded.
func TestASignedIndexVouchesForItsVariants(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer string
		signed bool
		want   step
		code   policy.Reason
	}{
		{policy.Forward, true, stepForward, policy.VerifiedImages},
		{policy.Signed, false, stepForward, policy.VerifiedImages},
		{policy.Signed, true, stepPull, policy.BestCandidate},
		{policy.Select, false, stepPull, policy.BestCandidate},
	} {
		answers := policy.Default().Answers
		answers.ImageVerifier = tt.answer
		p := &pull{
			Puller: &Puller{PullerOptions: PullerOptions{Unchanged: func(_, _ string, a policy.Answers) (string, []policy.Case) {
				if a.ImageVerifier == policy.Select {
					return "", nil
				}
				return "images are verified", a.Cases(policy.Arose{ImageVerifier: true})
			}}},
			req: &runtimeapi.PullImageRequest{}, policy: policy.Effective{Answers: answers},
		}
		d := &decision.Decision{Index: "sha256:x", Candidates: make([]decision.Candidate, 2), Choice: 1}
		if tt.signed {
			d.Signer = &referrers.Signer{Name: "ops.pub"}
		}
		if got := p.planBy(d); got.step != tt.want || got.code != tt.code {
			t.Errorf("image_verifier %s, signed %t: step %d, %s", tt.answer, tt.signed, got.step, got.code)
		}
	}
}
