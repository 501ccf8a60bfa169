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

// status is what matters of the configuration in Status. Of tables that may have
// credentials only the keys are kept.
type status struct {
	Containerd *struct {
		Snapshotter string
		Runtimes    map[string]struct{ Snapshotter string }
	}
	Registry *struct {
		ConfigPath              string
		Mirrors, Configs, Auths map[string]struct{}
		Headers                 map[string][]string
	}
}

// With returns the settings with the report of the running runtime in place of what its
// configuration file has, which may have changed since the runtime started. On an error the
// settings are those of what could be read.
func (s Settings) With(r Report) (Settings, error) {
	if r.Name != "" {
		s.Name, s.Version = r.Name, r.Version
	}
	if s.MustForward() != "" {
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
	} else if s.HostsPath == "" && s.Version != "" && s.atLeast2(2) && len(s.InlineRegistry) == 0 {
		s.HostsPath = defaultHostsPath
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
	r := config.Registry
	if r == nil {
		return
	}
	s.HostsPath, s.HostsKnown, s.Headers, s.InlineRegistry = r.ConfigPath, true, len(r.Headers) > 0, nil
	for _, inline := range []struct {
		key   string
		table map[string]struct{}
	}{{"mirrors", r.Mirrors}, {"configs", r.Configs}, {"auths", r.Auths}} {
		if len(inline.table) > 0 {
			s.InlineRegistry = append(s.InlineRegistry, inline.key)
		}
	}
}
