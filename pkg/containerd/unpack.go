package containerd

import (
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// WillUnpack reports whether a manifest of this platform, pulled by its digest, can become a
// container under every runtime handler of the node. The pull of a manifest that cannot
// succeeds nevertheless; only CreateContainer fails then, because there is no snapshot.
//
// It does not depend on the pull's runtime handler: kubelets rarely send it, and the image
// record is shared by all pods, so that a pod of another handler may use an image that was
// never pulled for it.
func (s Settings) WillUnpack(p ocispec.Platform) bool { return s.willUnpack(p, hostPlatform()) }

func (s Settings) willUnpack(p, host ocispec.Platform) bool {
	if s.unpacksAtPull(p, host) && len(s.otherSnapshotters()) == 0 {
		return true
	}
	// What the pull did not unpack, CreateContainer does: any manifest up to 2.2.1, later only
	// those of the host's platform.
	return !s.atLeast2(2) || platforms.Only(host).Match(platforms.Normalize(p))
}

// unpacksAtPull reports whether a pull for the default handler unpacks the platform.
func (s Settings) unpacksAtPull(p, host ocispec.Platform) bool {
	if !s.usesTransferService() || !s.CheckPlatform {
		return true
	}
	for _, unpack := range s.unpacks(host) {
		platform, err := platforms.Parse(unpack.Platform)
		if err != nil || unpack.Snapshotter != s.Snapshotter {
			continue
		}
		// containerd matches the image only with the first entry that matches the host.
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

// hostPlatform is the host as containerd has it, which is without x86-64 levels.
func hostPlatform() ocispec.Platform { return platforms.DefaultSpec() }

// highestVariant is the highest variant of the host's architecture.
func highestVariant(host ocispec.Platform) ocispec.Platform {
	switch host.Architecture {
	case "amd64":
		host.Variant = "v4"
	case "arm64":
		host.Variant = "v9"
	}
	return host
}
