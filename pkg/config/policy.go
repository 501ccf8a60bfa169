package config

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// For returns the answers for a repository, named in full as
// docker.io/library/busybox is: those of the longest prefix among Repositories,
// and what that leaves out as the rest of the policy has it.
func (p Policy) For(repository string) Answers {
	longest := ""
	for prefix := range p.Repositories {
		if len(prefix) > len(longest) && within(repository, prefix) {
			longest = prefix
		}
	}
	return p.Answers.under(p.Repositories[longest])
}

// within tells whether the prefix ends where a part of the repository's name
// ends: registry.example/team holds registry.example/team/app, not
// registry.example/teams.
func within(repository, prefix string) bool {
	rest, ok := strings.CutPrefix(repository, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// checkPrefix refuses what no repository's full name begins with.
func checkPrefix(prefix string) error {
	host, path, deeper := strings.Cut(prefix, "/")
	switch {
	case host == "index.docker.io":
		return fmt.Errorf("%q never counts, that registry is named docker.io", prefix)
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		return fmt.Errorf("%q does not begin with the host of a registry, such as docker.io", prefix)
	case !deeper && !full(host, "any"):
		return fmt.Errorf("%q is no registry host such as docker.io or registry.example:5000", prefix)
	case deeper && !full(host, path):
		return fmt.Errorf("%q is no repository such as docker.io/library/busybox, without scheme, tag and closing slash", prefix)
	}
	return nil
}

// full tells whether the two are the full name of a repository.
func full(host, path string) bool {
	named, err := reference.WithName(host + "/" + path)
	return err == nil && reference.Domain(named) == host && reference.Path(named) == path
}
