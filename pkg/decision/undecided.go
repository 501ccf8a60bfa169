package decision

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
)

// Undecided is what the policy makes of a reference about which nothing could be decided.
type Undecided struct {
	Action policy.Action // Forwarded or Refused
	Code   policy.Reason
	Reason string // the same in a sentence
	Cases  []policy.Case
}

// Undecide returns what the policy makes of a reference after an error of Decide.
func Undecide(ref string, cause error, answers policy.Answers) Undecided {
	u := Undecided{
		Action: policy.Forwarded, Code: codeOf(ref, cause),
		Reason: Line(fmt.Sprintf("what %s needs cannot be found out: %v", ref, cause)),
	}
	// The runtime is about to meet the same error and to report it in its own words. It
	// does not request referrers, so what a registry answers to that is another matter.
	e, ok := errors.AsType[*registry.Error](cause)
	if ok && e.Op == "resolve" && (errors.Is(cause, registry.ErrUnauthorized) || errors.Is(cause, registry.ErrNotFound)) {
		return u
	}
	u.Cases = answers.Cases(policy.Arose{RegistryError: true})
	if answers.RegistryError == policy.Refuse {
		u.Action = policy.Refused
	}
	return u
}

func codeOf(ref string, cause error) policy.Reason {
	network, _ := errors.AsType[net.Error](cause)
	switch {
	case RepositoryOf(ref) == "":
		return policy.InvalidReference
	case errors.Is(cause, registry.ErrNotFound):
		return policy.RegistryNotFound
	case errors.Is(cause, registry.ErrUnauthorized):
		return policy.RegistryDenied
	case errors.Is(cause, registry.ErrTooLarge), errors.Is(cause, registry.ErrCorrupt):
		return policy.RegistryUnusable
	case errors.Is(cause, context.DeadlineExceeded), network != nil && network.Timeout():
		return policy.RegistryTimeout
	}
	return policy.RegistryFailed
}
