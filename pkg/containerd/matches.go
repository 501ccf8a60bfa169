package containerd

import (
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Matches is what CRI's pulls look for in an index, and in which order they prefer
// it.
func (s Settings) Matches() platforms.MatchComparer { return s.matches(hostPlatform()) }

func (s Settings) matches(host ocispec.Platform) platforms.MatchComparer {
	m := platforms.Only(host)
	if s.usesTransferService() {
		// The transfer service fetches the host's platform alone, nothing that the
		// machine could run besides, such as 386 on amd64.
		m = platforms.OnlyStrict(host)
	}
	if !s.atLeast2(3) {
		m = withoutFeatures{m}
	}
	return m
}

// withoutFeatures does not look at os.features, as containerd up to 2.2 does not.
type withoutFeatures struct{ platforms.MatchComparer }

// Match implements platforms.Matcher.
func (m withoutFeatures) Match(p ocispec.Platform) bool {
	p.OSFeatures = nil
	return m.MatchComparer.Match(p)
}

// Less implements platforms.MatchComparer.
func (m withoutFeatures) Less(a, b ocispec.Platform) bool {
	a.OSFeatures, b.OSFeatures = nil, nil
	return m.MatchComparer.Less(a, b)
}
