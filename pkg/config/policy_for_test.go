package config_test

import (
	"testing"

	"github.com/imagefit/imagefit/pkg/config"
)

func TestFor(t *testing.T) {
	t.Parallel()
	p := config.Default().Policy
	p.Repositories = map[string]config.Answers{
		"r.example":            {Mode: config.Audit, NoFit: config.Forward},
		"r.example/team":       {NoArtifact: config.Refuse},
		"r.example/team/app":   {ImageVerifier: config.Select},
		"docker.io/library":    {Mode: config.Audit},
		"r.example:5000/other": {Mode: config.Audit},
	}
	with := func(change func(*config.Answers)) config.Answers {
		a := config.Default().Policy.Answers
		change(&a)
		return a
	}
	plain := with(func(*config.Answers) {})
	tests := []struct {
		name, repository string
		want             config.Answers
	}{
		{"no override", "s.example/team/app", plain},
		{"the registry", "r.example/x", with(func(a *config.Answers) { a.Mode, a.NoFit = config.Audit, config.Forward })},
		{"a longer prefix stands alone", "r.example/team/x", with(func(a *config.Answers) { a.NoArtifact = config.Refuse })},
		{"the repository itself", "r.example/team/app", with(func(a *config.Answers) { a.ImageVerifier = config.Select })},
		{"below the repository", "r.example/team/app/sub", with(func(a *config.Answers) { a.ImageVerifier = config.Select })},
		{"not within a name", "r.example/team/apps", with(func(a *config.Answers) { a.NoArtifact = config.Refuse })},
		{"not within a team", "r.example/teams", with(func(a *config.Answers) { a.Mode, a.NoFit = config.Audit, config.Forward })},
		{"not within a host", "r.example.com/team", plain},
		{"not another port", "r.example:5000/team", plain},
		{"a port", "r.example:5000/other/x", with(func(a *config.Answers) { a.Mode = config.Audit })},
		{"docker.io", "docker.io/library/busybox", with(func(a *config.Answers) { a.Mode = config.Audit })},
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
