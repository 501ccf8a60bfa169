package containerd

import (
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// WillUnpack is whether a manifest of this platform, pulled by its digest, becomes
// a container under every runtime handler of the node. A pull of what will not
// succeeds all the same; only CreateContainer then fails, for want of a snapshot.
//
// It does not ask for the pull's runtime handler: kubelets rarely tell it, and
// the image record is shared by all pods, so that a pod of another handler may come
// upon an image that is never pulled for it.
func (s Settings) WillUnpack(p ocispec.Platform) bool { return s.willUnpack(p, hostPlatform()) }

func (s Settings) willUnpack(p, host ocispec.Platform) bool {
	if s.unpacksAtPull(p, host) && len(s.others()) == 0 {
		return true
	}
	// What the pull left packed, CreateContainer unpacks: of a manifest anything up
	// to 2.2, later only what runs anywhere on this kind of machine.
	return !s.atLeast(2, 3) || platforms.Only(host).Match(platforms.Normalize(p))
}

// unpacksAtPull is whether a pull for the default handler unpacks the platform.
func (s Settings) unpacksAtPull(p, host ocispec.Platform) bool {
	if !s.transfers() || !s.CheckPlatform {
		return true
	}
	for _, unpack := range s.unpacks(host) {
		platform, err := platforms.Parse(unpack.Platform)
		if err != nil || unpack.Snapshotter != s.Snapshotter {
			continue
		}
		// containerd takes the first entry that would do for this machine and
		// holds the image against that one alone.
		if only := platforms.Only(platform); only.Match(host) {
			return only.Match(platforms.Normalize(p))
		}
	}
	return false
}

func (s Settings) unpacks(host ocispec.Platform) []Unpack {
	if s.Unpack != nil {
		return s.Unpack
	}
	return []Unpack{{Platform: platforms.Format(host), Snapshotter: defaultSnapshotter}}
}

// hostPlatform is what containerd takes this machine for. It knows of no x86-64
// levels.
func hostPlatform() ocispec.Platform { return platforms.DefaultSpec() }

// highest is the most that a machine of this kind can be asked for.
func highest(host ocispec.Platform) ocispec.Platform {
	switch host.Architecture {
	case "amd64":
		host.Variant = "v4"
	case "arm64":
		host.Variant = "v9"
	}
	return host
}
