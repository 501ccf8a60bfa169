package containerd

import (
	"encoding/json"
	"errors"
)

// Told is what the running runtime says of itself, each part empty where it was
// not asked or does not say.
type Told struct {
	// Name and Version are runtime_name and runtime_version of CRI's Version.
	Name, Version string
	// Info is info of CRI's Status with verbose set.
	Info map[string]string
	// Exports are those of the plugin io.containerd.cri.v1.images in containerd's
	// introspection service.
	Exports map[string]string
}

// ImagesPluginType and ImagesPluginID name the plugin whose exports [Told] has.
const (
	ImagesPluginType = "io.containerd.cri.v1"
	ImagesPluginID   = "images"
)

// status is what matters of the configuration in Status. Of tables that may hold
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

// With returns the settings with what the running runtime says in place of what
// its configuration file says: the file may have changed since it started. On an
// error the settings are as good as what could be read.
func (s Settings) With(t Told) (Settings, error) {
	if t.Name != "" {
		s.Name, s.Version = t.Name, t.Version
	}
	if s.MustForward() != "" {
		return s, nil
	}
	var config status
	var err error
	if text := t.Info["config"]; text != "" {
		if err = json.Unmarshal([]byte(text), &config); err != nil {
			// Not the error itself: it may quote what it stumbled over.
			err = errors.New("read containerd's configuration in its status: not the JSON that is known")
			config = status{}
		}
	}
	s.takeStatus(config)
	if path, ok := t.Exports["RegistryConfigPath"]; ok {
		s.HostsPath, s.HostsKnown = path, true
	} else if s.HostsPath == "" && s.Version != "" && s.atLeast(2, 2) && len(s.InlineRegistry) == 0 {
		s.HostsPath = defaultHostsPath
	}
	return s, err
}

// takeStatus takes what Status has: in 1.x the whole of CRI's configuration, later
// only that of pods.
func (s *Settings) takeStatus(config status) {
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
