package config

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// checkPrefix refuses what no repository's full name begins with.
func checkPrefix(prefix string) error {
	host, path, deeper := strings.Cut(prefix, "/")
	switch {
	case host == "index.docker.io":
		return fmt.Errorf("%q never matches: that registry is named docker.io", prefix)
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		return fmt.Errorf("%q does not begin with the host of a registry, such as docker.io", prefix)
	case !deeper && !full(host, "any"):
		return fmt.Errorf("%q is not a registry host such as docker.io or registry.example:5000", prefix)
	case deeper && !full(host, path):
		return fmt.Errorf("%q is not a repository such as docker.io/library/busybox, without scheme, tag and trailing slash", prefix)
	}
	return nil
}

// full tells whether the two are the full name of a repository.
func full(host, path string) bool {
	named, err := reference.WithName(host + "/" + path)
	return err == nil && reference.Domain(named) == host && reference.Path(named) == path
}
