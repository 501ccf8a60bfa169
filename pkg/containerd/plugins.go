package containerd

import (
	"slices"
	"strings"
	"time"
)

// The plugins whose settings concern images.
const (
	imagesPlugin   = "io.containerd.cri.v1.images"
	runtimePlugin  = "io.containerd.cri.v1.runtime"
	transferPlugin = "io.containerd.transfer.v1.local"
	verifierPlugin = "io.containerd.image-verifier.v1.bindir"
	nriPlugin      = "io.containerd.nri.v1.nri"
	oldPlugin      = "io.containerd.grpc.v1.cri" // both of CRI's, up to version 2
)

// migrate moves settings of older versions to where the newest version has them, by
// containerd's own rules: also in files whose version is 3.
func (f *file) migrate() {
	if f.Version >= 4 {
		return
	}
	if f.Version < 2 { // names of plugins were short
		if cri, ok := f.Plugins["cri"]; ok && f.Plugins[oldPlugin] == nil {
			f.Plugins[oldPlugin] = cri
		}
	}
	old, ok := f.Plugins[oldPlugin].(map[string]any)
	if !ok {
		return
	}
	images, runtime := makeTable(f.Plugins, imagesPlugin), makeTable(f.Plugins, runtimePlugin)
	for _, key := range []string{"registry", "max_concurrent_downloads", "image_pull_with_sync_fs"} {
		move(images, old, key)
	}
	containerd := table(old, "containerd")
	runtimes, ok := containerd["runtimes"]
	if !ok {
		return // containerd does not move the snapshotter here either
	}
	for _, key := range []string{"snapshotter", "disable_snapshot_annotations", "discard_unpacked_layers"} {
		move(images, containerd, key)
	}
	if into := makeTable(runtime, "containerd"); into["runtimes"] == nil {
		into["runtimes"] = runtimes
	}
}

// makeTable returns the table of a key, and makes it where it is missing.
func makeTable(t map[string]any, key string) map[string]any {
	inner, ok := t[key].(map[string]any)
	if !ok {
		inner = map[string]any{}
		t[key] = inner
	}
	return inner
}

func move(into, from map[string]any, key string) {
	if value, ok := from[key]; ok {
		into[key] = value
	}
}

// settings are what a migrated and merged configuration means.
func (f *file) settings() Settings {
	s := defaults()
	images := table(f.Plugins, imagesPlugin)
	s.setRegistry(registryOfFile(table(images, "registry")))
	if name, _ := images["snapshotter"].(string); name != "" {
		s.Snapshotter = name
	}
	// CRI's pulls bypass the transfer service where that is configured, or a setting
	// that the transfer service does not have.
	annotations, ok := images["disable_snapshot_annotations"].(bool)
	downloads, bounded := images["max_concurrent_downloads"].(int64)
	s.LocalPull = len(s.InlineRegistry) > 0 || ok && !annotations || bounded && downloads != 3 ||
		images["use_local_image_pull"] == true || images["discard_unpacked_layers"] == true ||
		images["image_pull_with_sync_fs"] == true
	s.PullSnapshotters = snapshotters(table(images, "runtime_platforms"))
	s.RuntimeSnapshotters = snapshotters(table(f.Plugins, runtimePlugin, "containerd", "runtimes"))

	transfer := table(f.Plugins, transferPlugin)
	s.CheckPlatform, _ = transfer["check_platform_supported"].(bool)
	s.Unpack = unpackConfig(transfer)

	verifier := table(f.Plugins, verifierPlugin)
	if dir, ok := verifier["bin_dir"].(string); ok {
		s.VerifierDir = dir
	}
	if number, ok := verifier["max_verifiers"].(int64); ok {
		s.MaxVerifiers = int(number)
	}
	if text, ok := verifier["per_verifier_timeout"].(string); ok {
		if limit, err := time.ParseDuration(text); err == nil {
			s.VerifierTimeout = limit
		}
	}
	if slices.Contains(f.Disabled, verifierPlugin) {
		s.VerifierDir = ""
	}
	nri := table(f.Plugins, nriPlugin)
	s.nriSocket = text(nri, "socket_path")
	if disabled, ok := nri["disable"].(bool); ok {
		s.nriDisabled = &disabled
	}
	if off := true; slices.Contains(f.Disabled, nriPlugin) {
		s.nriDisabled = &off
	}
	return s
}

// unpackConfig returns the transfer service's pairs; nil where they are not configured,
// which differs from an empty list.
func unpackConfig(transfer map[string]any) []Unpack {
	list, ok := transfer["unpack_config"].([]any)
	if !ok {
		return nil
	}
	all := make([]Unpack, 0, len(list))
	for _, entry := range list {
		pair, _ := entry.(map[string]any)
		platform, _ := pair["platform"].(string)
		snapshotter, _ := pair["snapshotter"].(string)
		all = append(all, Unpack{Platform: strings.TrimSpace(platform), Snapshotter: snapshotter})
	}
	return all
}

// snapshotters returns the key snapshotter of each handler's table.
func snapshotters(handlers map[string]any) map[string]string {
	all := map[string]string{}
	for handler := range handlers {
		if name, _ := table(handlers, handler)["snapshotter"].(string); name != "" {
			all[handler] = name
		}
	}
	return all
}

// table follows keys through tables. What is missing or not a table is empty.
func table(t map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		t, _ = t[key].(map[string]any)
	}
	return t
}
