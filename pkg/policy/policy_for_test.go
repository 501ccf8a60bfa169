package policy_test

import (
	"testing"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/policy"
)

func TestTheLongestRepositoryPrefixApplies(t *testing.T) {
	t.Parallel()
	p := config.Default().Policy
	p.Repositories = map[string]policy.Answers{
		"r.example":            {Mode: policy.Audit, NoFit: policy.Forward},
		"r.example/team":       {NoArtifact: policy.Refuse},
		"r.example/team/app":   {ImageVerifier: policy.Select},
		"docker.io/library":    {Mode: policy.Audit},
		"r.example:5000/other": {Mode: policy.Audit},
	}
	with := func(change func(*policy.Answers)) policy.Answers {
		a := config.Default().Policy.Answers
		change(&a)
		return a
	}
	plain := with(func(*policy.Answers) {})
	tests := []struct {
		name, repository string
		want             policy.Answers
	}{
		{"no override", "s.example/team/app", plain},
		{"the registry", "r.example/x", with(func(a *policy.Answers) { a.Mode, a.NoFit = policy.Audit, policy.Forward })},
		{"a longer prefix stands alone", "r.example/team/x", with(func(a *policy.Answers) { a.NoArtifact = policy.Refuse })},
		{"the repository itself", "r.example/team/app", with(func(a *policy.Answers) { a.ImageVerifier = policy.Select })},
		{"below the repository", "r.example/team/app/sub", with(func(a *policy.Answers) { a.ImageVerifier = policy.Select })},
		{"not within a name", "r.example/team/apps", with(func(a *policy.Answers) { a.NoArtifact = policy.Refuse })},
		{"not within a team", "r.example/teams", with(func(a *policy.Answers) { a.Mode, a.NoFit = policy.Audit, policy.Forward })},
		{"not within a host", "r.example.com/team", plain},
		{"not another port", "r.example:5000/team", plain},
		{"a port", "r.example:5000/other/x", with(func(a *policy.Answers) { a.Mode = policy.Audit })},
		{"docker.io", "docker.io/library/busybox", with(func(a *policy.Answers) { a.Mode = policy.Audit })},
		{"nothing", "", plain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := p.For(tt.repository); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}
