package containerd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/platforms"

	"github.com/imagefit/imagefit/pkg/crio"
	"github.com/imagefit/imagefit/pkg/registry"
)

// The defaults of containerd.
const (
	// DefaultPath is the configuration file that containerd reads by default.
	DefaultPath = "/etc/containerd/config.toml"

	defaultSnapshotter  = "overlayfs"
	defaultHostsPath    = "/etc/containerd/certs.d:/etc/docker/certs.d" // from 2.2 on
	defaultVerifierDir  = "/opt/containerd/image-verifier/bin"
	defaultMaxVerifiers = 10
	defaultVerifierTime = 10 * time.Second
)

// Settings are what the runtime's own configuration means for images.
type Settings struct {
	// Files are the file and its imports, in the order in which they were read.
	Files []string

	// Name and Version are those that the runtime reports, empty until it does.
	// Without them the settings are those of the newest containerd known.
	Name, Version string

	// HostsPath lists the directories of hosts.toml files as registry.config_path does,
	// separated by colons. It is empty where the runtime has none, and where that is
	// not known yet: see HostsKnown.
	HostsPath string
	// HostsKnown is whether HostsPath is what the running containerd uses.
	HostsKnown bool
	// InlineRegistry are the deprecated tables beside registry.config_path that
	// are set: mirrors, configs, auths.
	InlineRegistry []string
	// Registry are what these tables and registry.headers have.
	Registry registry.Tables

	// Snapshotter is where images are unpacked unless a runtime handler has its own.
	Snapshotter string
	// RuntimeSnapshotters are those that containers of a runtime handler get, by
	// handler, where the handler has one.
	RuntimeSnapshotters map[string]string
	// PullSnapshotters are the same for pulls that name a handler (runtime_platforms).
	PullSnapshotters map[string]string
	// CheckPlatform is check_platform_supported of the transfer service: a pull
	// unpacks only the platforms of Unpack.
	CheckPlatform bool
	// Unpack are the transfer service's pairs of platform and snapshotter; nil
	// stands for the machine's own platform and overlayfs.
	Unpack []Unpack

	// LocalPull is whether CRI's pulls bypass the transfer service, and with it image
	// verifiers and CheckPlatform.
	LocalPull bool
	// VerifierDir has the programs that containerd runs before a pull; it is empty where
	// the plugin is disabled. MaxVerifiers of them are run, all where it is negative, and
	// the pull is refused when one takes longer than VerifierTimeout.
	VerifierDir     string
	MaxVerifiers    int
	VerifierTimeout time.Duration

	// CRIO is what CRI-O's configuration means, where that is the runtime.
	CRIO *crio.Settings

	nriSocket   string
	nriDisabled *bool
}

// NRI returns containerd's NRI socket, "" for the default, and whether NRI is off, which it
// is by default before 2.0.
func (s Settings) NRI() (socket string, off bool) {
	if s.nriDisabled != nil {
		return s.nriSocket, *s.nriDisabled
	}
	return s.nriSocket, s.Version != "" && !s.atLeast2(0)
}

// ReadsReferrersCapability reports whether hosts.toml may have the capability referrers; an
// earlier containerd ignores the whole file.
func (s Settings) ReadsReferrersCapability() bool { return s.atLeast2(2) }

// Unpack is a platform that can be unpacked, and where.
type Unpack struct {
	Platform, Snapshotter string
}

// defaults are the settings of a containerd without a configuration.
func defaults() Settings {
	return Settings{
		Snapshotter: defaultSnapshotter,
		VerifierDir: defaultVerifierDir, MaxVerifiers: defaultMaxVerifiers, VerifierTimeout: defaultVerifierTime,
	}
}

// IsContainerd reports whether the runtime is containerd, or may be: it has image records,
// in which a tag can be made to resolve to a variant.
func (s Settings) IsContainerd() bool { return s.Name == "" || s.Name == "containerd" }

// isCRIO reports whether the runtime is CRI-O.
func (s Settings) isCRIO() bool { return s.Name == "cri-o" }

// usesTransferService reports whether CRI's pulls go through the transfer service.
func (s Settings) usesTransferService() bool { return !s.LocalPull && s.atLeast2(1) }

// otherSnapshotters returns the runtime handlers whose snapshotter is not the default.
func (s Settings) otherSnapshotters() map[string]string {
	others := map[string]string{}
	for _, all := range []map[string]string{s.PullSnapshotters, s.RuntimeSnapshotters} {
		for handler, snapshotter := range all {
			if snapshotter != s.Snapshotter {
				others[handler] = snapshotter
			}
		}
	}
	return others
}

// atLeast2 reports whether the runtime's version is at least 2.minor. A version that is
// unknown or cannot be parsed is the newest.
func (s Settings) atLeast2(minor int) bool {
	var gotMajor, gotMinor int
	if n, _ := fmt.Sscanf(strings.TrimPrefix(s.Version, "v"), "%d.%d", &gotMajor, &gotMinor); n < 2 {
		return true
	}
	return gotMajor > 2 || gotMajor == 2 && gotMinor >= minor
}

// Warnings are what an operator should know about the configuration, a sentence each.
func (s Settings) Warnings() []string {
	if !s.IsContainerd() {
		return nil
	}
	var all []string
	host := hostPlatform()
	if !s.unpacksAtPull(highestVariant(host), host) {
		all = append(all, "containerd unpacks only what matches "+s.unpackable()+" (check_platform_supported = true):"+
			" other variants are not chosen; on amd64, an unpack_config with platform = \"linux/amd64/v4\" covers every x86-64 level")
	}
	if others := s.otherSnapshotters(); len(others) > 0 && s.atLeast2(2) {
		var names []string
		for _, handler := range slices.Sorted(maps.Keys(others)) {
			names = append(names, handler+": "+others[handler])
		}
		all = append(all, "runtime handlers have snapshotters other than "+s.Snapshotter+" ("+strings.Join(names, ", ")+"):"+
			" for their containers containerd unpacks only what matches "+platforms.Format(host)+", other variants are not chosen")
	}
	return all
}

// unpackable lists the platforms that unpack into the default snapshotter.
func (s Settings) unpackable() string {
	var all []string
	for _, unpack := range s.unpacks(hostPlatform()) {
		if unpack.Snapshotter == s.Snapshotter {
			all = append(all, unpack.Platform)
		}
	}
	if len(all) == 0 {
		return "nothing for snapshotter " + s.Snapshotter
	}
	return strings.Join(all, ", ")
}
