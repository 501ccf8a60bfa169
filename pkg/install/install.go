package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// Installer installs imagefit on a node, and takes it off again.
type Installer struct {
	Root     string // the node's root; a folder other than "/" is only written to
	Platform string // "" detects it
	Programs string // the folder that the programs are copied from
	Version  string // of imagefit, for the record
	Force    bool   // overwrite what someone else changed
	DryRun   bool   // change nothing
	// KeepState leaves the cache and the decision log where they are.
	KeepState bool
	// Systemctl runs systemctl with arguments. Nil starts and restarts nothing.
	Systemctl func(ctx context.Context, args ...string) error
	// Log is told each step that is done.
	Log func(step string)

	// after is told each step, with an error to stop as a crash would: for tests.
	after    func(step string) error
	volatile bool
}

// Result is what an installation did, or would do.
type Result struct {
	Plan
	Changes []Change `json:"changes"`
	// Units are restarted, in this order.
	Units []string `json:"restarts,omitempty"`
}

// Change is what becomes of a file.
type Change struct {
	Path string `json:"path"`
	Diff string `json:"diff"`
}

// daemons are the units of imagefit, in the order in which they are started.
func daemons() []string {
	return []string{"cri-proxy.socket", "cri-proxy.service", "nri-plugin.service"}
}

// run is one installation or removal.
type run struct {
	*Installer
	tree

	ctx    context.Context //nolint:containedctx // of this one run
	state  state           // as it is on disk
	result Result
}

// begin locks the node and reads what was installed.
func (i *Installer) begin(ctx context.Context) (r run, release func(), err error) {
	r = run{Installer: i, ctx: ctx, tree: tree{root: filepath.Clean(cmp.Or(i.Root, "/")), volatile: i.volatile}}
	if release, err = r.lock(); err != nil {
		return r, nil, err
	}
	if r.state, err = r.load(); err != nil {
		release()
		return r, nil, err
	}
	r.tree = r.view(r.state)
	return r, release, nil
}

// Install installs imagefit, or brings what is installed up to date. One that was
// interrupted is finished.
func (i *Installer) Install(ctx context.Context) (Result, error) {
	r, release, err := i.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	defer release()
	if r.result.Plan, err = r.plan(i.Platform, i.Programs); err != nil {
		return r.result, err
	}
	changes, next, err := r.changes(r.state, r.result.files, i.Force)
	if err != nil {
		return r.result, err
	}
	next.Version, next.Platform, next.Kubelet = i.Version, r.result.Platform, r.result.Kubelet
	r.record(changes)
	if len(changes) == 0 && (r.state.Phase == installed || len(next.Entries) == 0) {
		return r.result, nil
	}
	return r.result, r.install(changes, next)
}

// install makes the changes: first those that start the daemons, then those that point the
// kubelet at them.
func (r *run) install(changes []change, next state) error {
	during := next
	during.Phase = changing
	for _, e := range r.state.Entries {
		if next.entry(e.Path) == nil {
			during.Entries = append(slices.Clone(during.Entries), e)
		}
	}
	during.Folders = r.folders(append([]string{StatePath}, pathsOf(changes)...))
	if err := r.put(during); err != nil {
		return err
	}
	own := r.makeAll(changes, false)
	if own == nil {
		own = r.startDaemons(len(changes) > 0 || r.state.Phase != installed)
	}
	if own == nil {
		own = r.makeAll(changes, true)
	}
	if own == nil && (slices.ContainsFunc(changes, func(c change) bool { return c.kubelet }) || r.state.Phase == changing) {
		own = r.restartKubelet(next.Kubelet)
	}
	if own != nil {
		return own
	}
	next.Folders, next.Phase = during.Folders, installed
	for i := range next.Entries {
		next.Entries[i].Previous = nil
	}
	return r.put(next)
}

// Uninstall takes imagefit off the node: all files are as they were.
func (i *Installer) Uninstall(ctx context.Context) (Result, error) {
	r, release, err := i.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	defer release()
	if r.state.Phase == "" {
		return r.result, nil
	}
	r.result.Platform, r.result.Kubelet = r.state.Platform, r.state.Kubelet
	changes, _, err := r.changes(r.state, nil, i.Force)
	if err != nil {
		return r.result, err
	}
	r.record(changes)
	return r.result, r.uninstall(changes)
}

// uninstall points the kubelet back first, so that it never asks a socket that is gone.
func (r *run) uninstall(changes []change) error {
	during := r.state
	during.Phase = removing
	if err := r.put(during); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return r.makeAll(changes, true) },
		func() error { return r.restartKubelet(r.state.Kubelet) },
		r.stopDaemons,
		func() error { return r.makeAll(changes, false) },
		func() error { return r.systemctl("daemon-reload") },
		r.removeState,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// record fills the result.
func (r *run) record(changes []change) {
	kubelet := false
	for _, c := range changes {
		kubelet = kubelet || c.kubelet
		r.result.Changes = append(r.result.Changes, Change{c.path, c.diff()})
	}
	if len(changes) > 0 {
		r.result.Units = daemons()
	}
	if kubelet && r.result.Kubelet != "" {
		r.result.Units = append(r.result.Units, r.result.Kubelet)
	}
}

// perform does one step, unless this is a dry run.
func (r *run) perform(step string, do func() error) error {
	if r.DryRun {
		return nil
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	if r.Log != nil {
		r.Log(step)
	}
	if r.after != nil {
		return r.after(step)
	}
	return nil
}

func (r *run) put(s state) error {
	return r.perform("record the phase "+string(s.Phase)+" in "+StatePath, func() error { return r.save(s) })
}

// makeAll makes the changes of the kubelet, or all others.
func (r *run) makeAll(changes []change, kubelet bool) error {
	for _, c := range changes {
		if c.kubelet != kubelet {
			continue
		}
		step := "write "
		if c.to == nil {
			step = "remove "
		}
		err := r.perform(step+c.path, func() error {
			if c.to != nil {
				if err := os.MkdirAll(filepath.Dir(r.path(c.path)), 0o755); err != nil { //nolint:gosec // as all of /etc
					return err
				}
			}
			return r.do(c)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// folders are those that were made, and those that will be for these files.
func (r *run) folders(files []string) []string {
	all := slices.Clone(r.state.Folders)
	for _, file := range files {
		for _, folder := range r.missingFolders(file) {
			if !slices.Contains(all, folder) {
				all = append(all, folder)
			}
		}
	}
	// A crash before the first state was written leaves its folder.
	if folder := path.Dir(StatePath); r.state.Phase == "" && !slices.Contains(all, folder) && r.empty(folder) {
		all = append(all, folder)
	}
	return all
}

func (r *run) empty(folder string) bool {
	entries, err := os.ReadDir(r.path(folder))
	return err == nil && len(entries) == 0
}

func pathsOf(changes []change) (paths []string) {
	for _, c := range changes {
		if c.to != nil {
			paths = append(paths, c.path)
		}
	}
	return paths
}

func (r *run) systemctl(args ...string) error {
	if r.Systemctl == nil {
		return nil
	}
	step := "systemctl"
	for _, arg := range args {
		step += " " + arg
	}
	return r.perform(step, func() error { return r.Systemctl(r.ctx, args...) })
}

// startDaemons starts the daemons, or restarts those that run with an older file.
func (r *run) startDaemons(changed bool) error {
	if !changed {
		return nil
	}
	return errors.Join(r.systemctl("daemon-reload"), r.systemctl("start", "cri-proxy.socket"),
		r.systemctl("restart", "cri-proxy.service", "nri-plugin.service"))
}

func (r *run) stopDaemons() error {
	return r.systemctl(append([]string{"stop"}, daemons()...)...)
}

func (r *run) restartKubelet(unit string) error {
	if unit == "" {
		return nil
	}
	if err := r.systemctl("daemon-reload"); err != nil {
		return err
	}
	return r.systemctl("restart", unit)
}

// removeState removes the record, with it the folders that were made and are empty.
func (r *run) removeState() error {
	return r.perform("remove "+StatePath, func() error {
		folder := path.Dir(StatePath)
		made := slices.Contains(r.state.Folders, folder)
		for _, dir := range slices.Backward(r.state.Folders) {
			if dir != folder {
				_ = os.Remove(r.path(dir)) // others may have files there
			}
		}
		if made && !r.KeepState {
			if err := os.RemoveAll(r.path(folder)); err != nil {
				return err
			}
		} else if err := os.Remove(r.path(StatePath)); err != nil {
			return err
		}
		for _, dir := range slices.Backward(r.state.Folders) {
			_ = os.Remove(r.path(dir))
		}
		return nil
	})
}
