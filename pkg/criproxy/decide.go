package criproxy

import (
	"context"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

// decisionGrace is how much longer than the decision's own time limit a pull waits for
// it. A decision that runs out of time still uses what is cached.
const decisionGrace = 500 * time.Millisecond

// decide asks for a decision about the reference, for a limited time.
func (p *pull) decide(ctx context.Context) (*decision.Decision, error) {
	if timeout := p.snapshot.Rules.Timeout; timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, timeout+decisionGrace)
		defer cancel()
		ctx = limited
	}
	return p.Decider.Decide(ctx, decision.Request{
		Reference: p.reference(), Auth: authOf(p.req.GetAuth()), Snapshot: p.snapshot,
	})
}

// authOf returns the credentials of a request as package registry takes them.
func authOf(a *runtimeapi.AuthConfig) *registry.Auth {
	if a == nil {
		return nil
	}
	return &registry.Auth{
		Username: a.GetUsername(), Password: a.GetPassword(), Auth: a.GetAuth(),
		ServerAddress: a.GetServerAddress(), IdentityToken: a.GetIdentityToken(), RegistryToken: a.GetRegistryToken(),
	}
}
