package cli

import "runtime/debug"

// BuildVersion prefers the version set at link time over what the Go tool
// recorded.
func BuildVersion(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
