package install

import (
	"cmp"
	"path/filepath"
	"slices"
)

// Status is how an installation stands.
type Status struct {
	Version  string   // of imagefit that wrote it, "" where nothing is installed
	Platform string   // of the node
	Finished bool     // it was verified
	Changed  []string // files that someone else changed or removed since
	Outdated []string // files that an installation would write differently by now
}

// Check compares what was installed with what is there and with what would be installed now,
// such as after an upgrade changed the kubelet's unit. It changes nothing.
func (i *Installer) Check() (Status, error) {
	t := tree{root: filepath.Clean(cmp.Or(i.Root, "/"))}
	s, err := t.load()
	if err != nil || s.Phase == "" {
		return Status{}, err
	}
	status := Status{Version: s.Version, Platform: s.Platform, Finished: s.Phase == installed}
	for _, e := range s.Entries {
		have, err := t.now(e.Path)
		if err != nil {
			return status, err
		}
		if !have.same(&e.Written) {
			status.Changed = append(status.Changed, e.Path)
		}
	}
	plan, err := t.view(s).plan(s.Platform, i.Programs)
	if err != nil {
		return status, err
	}
	for _, f := range plan.files {
		if f.Source != "" {
			continue // another release's
		}
		want, err := f.wanted()
		if err != nil {
			return status, err
		}
		have, err := t.now(f.Path)
		if err != nil {
			return status, err
		}
		if known := s.entry(f.Path); known != nil {
			have = &known.Written
		}
		if !have.same(want) {
			status.Outdated = append(status.Outdated, f.Path)
		}
	}
	slices.Sort(status.Changed)
	return status, nil
}
