package containerd

import (
	"encoding/json"
	"errors"
)

// Report is what the running runtime reports of itself, each part empty where it is not
// known.
type Report struct {
	// Name and Version are runtime_name and runtime_version of CRI's Version.
	Name, Version string
	// Info is info of CRI's Status with verbose set.
	Info map[string]string
	// Exports are those of the plugin io.containerd.cri.v1.images in containerd's
	// introspection service.
	Exports map[string]string
}

// ImagesPluginType and ImagesPluginID name the plugin whose exports a [Report] has.
const (
	ImagesPluginType = "io.containerd.cri.v1"
	ImagesPluginID   = "images"
)

// status is what matters of the configuration in Status.
type status struct {
	Containerd *struct {
		Snapshotter string
		Runtimes    map[string]struct{ Snapshotter string }
	}
	Registry *registryTables
}

// With returns the settings with the report of the running runtime in place of what its
// configuration file has, which may have changed since the runtime started. On an error the
// settings are those of what could be read.
func (s Settings) With(r Report) (Settings, error) {
	if r.Name != "" {
		s.Name, s.Version = r.Name, r.Version
	}
	if !s.IsContainerd() {
		return s, nil
	}
	var config status
	var err error
	if text := r.Info["config"]; text != "" {
		if err = json.Unmarshal([]byte(text), &config); err != nil {
			// Not the error itself: it may quote a credential.
			err = errors.New("read containerd's configuration in its CRI status: unexpected JSON")
			config = status{}
		}
	}
	s.mergeStatus(config)
	if path, ok := r.Exports["RegistryConfigPath"]; ok {
		s.HostsPath, s.HostsKnown = path, true
	} else if s.HostsPath == "" && s.Version != "" && s.atLeast2(2) && len(s.Registry.Mirrors) == 0 {
		s.HostsPath = defaultHostsPath
	}
	s.Registry.Rewrite = rewrites(s.Version, s.Files)
	s.Registry.Replace = s.HostsPath == "" && (s.HostsKnown || len(s.Registry.Mirrors) > 0)
	if s.Version != "" && s.atLeast2(0) {
		s.Registry.TLS = nil // containerd 2 does not read configs.*.tls
	}
	return s, err
}

// mergeStatus merges what Status has: in 1.x the whole configuration of CRI, later only
// that of pods.
func (s *Settings) mergeStatus(config status) {
	if c := config.Containerd; c != nil {
		if c.Snapshotter != "" {
			s.Snapshotter = c.Snapshotter
		}
		s.RuntimeSnapshotters = map[string]string{}
		for handler, runtime := range c.Runtimes {
			if runtime.Snapshotter != "" {
				s.RuntimeSnapshotters[handler] = runtime.Snapshotter
			}
		}
	}
	if config.Registry != nil {
		s.setRegistry(*config.Registry)
		s.HostsKnown = true
	}
}
