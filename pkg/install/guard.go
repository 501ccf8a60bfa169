package install

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	guardTimer = "imagefit-install.timer"
	// guardAfter is how long an installation may take. It is longer than its own two
	// timeouts, which end it before.
	guardAfter = 15 * time.Minute
)

// DefaultTimeout is how long each part of the verification may take.
const DefaultTimeout = 3 * time.Minute

// guard are the units that take an installation back whose process was killed, or whose
// node was restarted, before it was verified. They are removed when it is.
func (r *run) guard() []File {
	const folder = "/etc/systemd/system/"
	program := programFolder + "/imagefit"
	if at, there := r.first("/usr/bin/imagefit", program); there {
		program = at
	}
	return []File{
		{Path: folder + "imagefit-install.service", Mode: 0o644, Text: written + "[Unit]\nDescription=Take back an unfinished installation of imagefit\n\n" +
			"[Service]\nType=oneshot\nExecStart=" + program + " uninstall --unfinished\n"},
		{Path: folder + guardTimer, Mode: 0o644, Text: written + "[Unit]\nDescription=Take back an unfinished installation of imagefit\n\n" +
			fmt.Sprintf("[Timer]\nOnActiveSec=%ds\nAccuracySec=1s\n", int(guardAfter.Seconds()))},
		{Path: folder + "timers.target.wants/" + guardTimer, Mode: 0o644, Link: folder + guardTimer},
	}
}

// verifyDaemons waits until the daemons work.
func (r *run) verifyDaemons() error {
	if r.Verify == nil {
		return nil
	}
	return r.perform("verify the daemons", func() error {
		ctx, cancel := context.WithTimeout(r.ctx, r.Timeout)
		defer cancel()
		return r.noted(r.Verify.Daemons(ctx))
	})
}

// verifyKubelet restarts the kubelet, and waits until it works.
func (r *run) verifyKubelet(changed bool) error {
	unit := r.result.Kubelet
	if unit == "" || !changed {
		return nil
	}
	if err := r.restartKubelet(unit); err != nil || r.Verify == nil {
		return err
	}
	return r.perform("verify the kubelet", func() error {
		ctx, cancel := context.WithTimeout(r.ctx, r.Timeout)
		defer cancel()
		return r.noted(r.Verify.Kubelet(ctx, func() error {
			if err := r.Systemctl(ctx, "is-active", "--quiet", unit); err != nil {
				return fmt.Errorf("%s does not run, see journalctl -u %s: %w", unit, unit, err)
			}
			return nil
		}))
	})
}

func (r *run) noted(note string, err error) error {
	if note != "" {
		r.result.Notes = append(r.result.Notes, note)
	}
	return err
}

// revertTime is how long taking back may take, whatever ended the installation.
const revertTime = 2 * time.Minute

// revert takes an installation back that failed.
func (r *run) revert(cause error) error {
	if r.DryRun || r.killed || r.state.Phase == "" {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), revertTime)
	defer cancel()
	r.ctx = ctx
	changes, _, err := r.changes(r.state, nil, false)
	if err == nil {
		err = r.uninstall(changes)
	}
	if err != nil {
		return fmt.Errorf("the installation failed, and could not be taken back: run imagefit uninstall: %w", errors.Join(cause, err))
	}
	return fmt.Errorf("the installation failed and was taken back, all files are as they were: %w", cause)
}
