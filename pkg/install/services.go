package install

import (
	"os"
	"strings"
)

// daemons are the units of imagefit, in the order in which they are started.
func daemons() []string {
	return []string{"cri-proxy.socket", "cri-proxy.service", "nri-plugin.service"}
}

func (r *run) systemctl(args ...string) error {
	if r.Systemctl == nil {
		return nil
	}
	return r.perform("systemctl "+strings.Join(args, " "), func() error { return r.Systemctl(r.ctx, args...) })
}

// startDaemons starts the daemons, or restarts those that run with an older file.
func (r *run) startDaemons() error {
	steps := [][]string{{"daemon-reload"}}
	if r.Verify != nil {
		steps = append(steps, []string{"start", guardTimer})
	}
	for _, args := range append(steps, []string{"start", "cri-proxy.socket"}, []string{"restart", "cri-proxy.service", "nri-plugin.service"}) {
		if err := r.systemctl(args...); err != nil {
			return err
		}
	}
	return nil
}

// stopDaemons stops what runs, also where files of the units are missing.
func (r *run) stopDaemons() error {
	for _, unit := range append(daemons(), guardTimer) {
		if len(r.all().unit(unit).files) == 0 {
			continue
		}
		if err := r.systemctl("stop", unit); err != nil {
			return err
		}
	}
	if r.Systemctl != nil && !r.DryRun {
		_ = os.Remove(r.path(runtimeFolder)) // systemd leaves it, others may have files there
	}
	return nil
}

// runtimeFolder is that of the units.
const runtimeFolder = "/run/imagefit"

// all is the tree with imagefit's own files.
func (r *run) all() tree { return tree{root: r.root} }

func (r *run) restartKubelet(unit string) error {
	if unit == "" {
		return nil
	}
	if err := r.systemctl("daemon-reload"); err != nil {
		return err
	}
	return r.systemctl("restart", unit)
}
