package description

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/textutil"
)

// about says which images a description is about. Each list that is not empty must
// match.
type about struct {
	repositories, tags, platforms, bases patterns
	digests                              []digest.Digest
}

func (a *about) applies(img Image) bool {
	return a.repositories.matches(img.Repository) && a.tags.matches(img.Tag) && a.platforms.matches(img.Platform) &&
		(len(a.digests) == 0 || slices.ContainsFunc(img.Digests, func(d digest.Digest) bool { return slices.Contains(a.digests, d) })) &&
		(len(a.bases) == 0 || img.Base.Digest != "" && a.bases.matches(img.Base.Digest.String()) || img.Base.Name != "" && a.bases.matches(fullName(img.Base.Name)))
}

// fullName is the name of a base image as the runtime normalises references.
func fullName(name string) string {
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return name
	}
	return named.String()
}

// patterns match texts. No pattern matches everything.
type patterns []*regexp.Regexp

func (p patterns) matches(text string) bool {
	return len(p) == 0 || slices.ContainsFunc(p, func(one *regexp.Regexp) bool { return one.MatchString(text) })
}

const (
	maxPatterns = 256
	maxPattern  = 512
)

// compile reads patterns, in which * is anything but a slash, and ** anything.
func compile(texts []string, valid func(string) error) (patterns, error) {
	if len(texts) > maxPatterns {
		return nil, fmt.Errorf("more than %d patterns", maxPatterns)
	}
	var all patterns
	for _, text := range texts {
		switch err := valid(text); {
		case text == "":
			return nil, errors.New("a pattern is empty")
		case len(text) > maxPattern:
			return nil, fmt.Errorf("a pattern has more than %d bytes", maxPattern)
		case err != nil:
			return nil, err
		}
		expression := regexp.QuoteMeta(text)
		expression = strings.ReplaceAll(expression, `\*\*`, ".*")
		expression = strings.ReplaceAll(expression, `\*`, "[^/]*")
		one, err := regexp.Compile("^" + expression + "$")
		if err != nil {
			return nil, fmt.Errorf("pattern %s: %w", textutil.Quote(text), err)
		}
		all = append(all, one)
	}
	return all, nil
}

func anything(string) error { return nil }

// repository wants the name that the runtime gives a repository, which begins with
// the host of its registry.
func repository(text string) error {
	host, path, hasPath := strings.Cut(text, "/")
	switch {
	case !hasPath || !strings.ContainsAny(host, ".:*") && host != "localhost":
		return fmt.Errorf("%s does not begin with the host of a registry, as in docker.io/library/debian", textutil.Quote(text))
	case host == "docker.io" && !strings.Contains(path, "/") && !strings.Contains(path, "**"):
		return fmt.Errorf("%s has no namespace: is docker.io/library/%s meant?", textutil.Quote(text), textutil.Short(path))
	case strings.ToLower(path) != path:
		return fmt.Errorf("%s has capitals, which no repository has", textutil.Quote(text))
	case strings.ContainsAny(path, ":@"):
		return fmt.Errorf("%s has a tag or digest, which go into tags and digests", textutil.Quote(text))
	}
	return nil
}

// platform wants OS/ARCH, or OS/ARCH/VARIANT.
func platform(text string) error {
	if parts := strings.Count(text, "/"); parts < 1 || parts > 2 {
		return fmt.Errorf("%s is not OS/ARCH or OS/ARCH/VARIANT", textutil.Quote(text))
	}
	return nil
}

// base wants the reference of an image, or a digest.
func base(text string) error {
	if strings.HasPrefix(text, "sha256:") {
		return nil
	}
	name := text
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, '/') {
		name = text[:i]
	}
	return repository(name)
}
