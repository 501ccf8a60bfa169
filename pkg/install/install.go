package install

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"
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

	// Verify proves that it works, nil nothing. What does not is taken back.
	Verify  Verifier
	Timeout time.Duration // of each of its two parts
	// Images are handed back to the runtime by a removal, nil none.
	Images Images
	// Unfinished removes only an installation that was not finished, once no other
	// process is at it.
	Unfinished bool

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

// run is one installation or removal.
type run struct {
	*Installer
	tree

	ctx    context.Context //nolint:containedctx // of this one run
	state  state           // as it is on disk
	result Result
	killed bool // by a test
}

// begin locks the node and reads what was installed.
func (i *Installer) begin(ctx context.Context, wait bool) (r run, release func(), err error) {
	r = run{Installer: i, ctx: ctx, tree: tree{root: filepath.Clean(cmp.Or(i.Root, "/")), volatile: i.volatile}}
	if release, err = r.lock(wait); err != nil {
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
// interrupted is finished. On a node it is verified, and taken back where that fails.
func (i *Installer) Install(ctx context.Context) (Result, error) {
	r, release, err := i.begin(ctx, false)
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
	r.record(changes)
	if len(changes) == 0 && (r.state.Phase == installed || len(next.Entries) == 0) {
		return r.result, nil
	}
	if err := r.install(); err != nil {
		return r.result, r.revert(err)
	}
	return r.result, nil
}

// install makes the changes: first those that start the daemons, then those that point the
// kubelet at them. A guard takes all of it back if this process does not finish.
func (r *run) install() error {
	files := r.result.files
	if r.Verify != nil {
		files = append(r.guard(), files...)
	}
	changes, next, err := r.changes(r.state, files, r.Force)
	if err != nil {
		return err
	}
	began := r.state.Phase
	if err := r.put(r.during(changes, next)); err != nil {
		return err
	}
	kubelet := slices.ContainsFunc(changes, func(c change) bool { return c.kubelet }) || began != installed
	for _, step := range []func() error{
		func() error { return r.makeAll(changes, false) },
		r.startDaemons,
		r.verifyDaemons,
		func() error { return r.makeAll(changes, true) },
		func() error { return r.verifyKubelet(kubelet) },
		r.finish,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// during is the record while changes are made: it has what is and what will be.
func (r *run) during(changes []change, next state) state {
	next.Version, next.Platform, next.Kubelet = r.Version, r.result.Platform, r.result.Kubelet
	next.Phase = changing
	for _, e := range r.state.Entries {
		if next.entry(e.Path) == nil {
			next.Entries = append(slices.Clone(next.Entries), e)
		}
	}
	next.Folders = r.folders(append([]string{StatePath}, pathsOf(changes)...))
	return next
}

// finish removes the guard and what is not needed any more.
func (r *run) finish() error {
	if r.Verify != nil {
		if err := r.systemctl("stop", guardTimer); err != nil {
			return err
		}
	}
	changes, next, err := r.changes(r.state, r.result.files, true)
	if err != nil {
		return err
	}
	changes = slices.DeleteFunc(changes, func(c change) bool { return c.to != nil }) // what someone else has changed meanwhile
	if err := r.makeAll(changes, false); err != nil {
		return err
	}
	next.Phase = installed
	for i := range next.Entries {
		next.Entries[i].Previous = nil
	}
	if r.Verify != nil {
		if err := r.systemctl("daemon-reload"); err != nil {
			return err
		}
	}
	return r.put(next)
}

// Uninstall takes imagefit off the node: all files are as they were.
func (i *Installer) Uninstall(ctx context.Context) (Result, error) {
	r, release, err := i.begin(ctx, i.Unfinished)
	if err != nil {
		return Result{}, err
	}
	defer release()
	if r.state.Phase == "" || i.Unfinished && r.state.Phase == installed {
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
	kubelet := r.state.Kubelet
	if r.state.Phase != removing && !slices.ContainsFunc(changes, func(c change) bool { return c.kubelet }) {
		kubelet = "" // was not pointed at cri-proxy yet
	}
	during := r.state
	during.Phase = removing
	if err := r.put(during); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return r.handBack(false) },
		func() error { return r.makeAll(changes, true) },
		func() error { return r.restartKubelet(kubelet) },
		r.stopDaemons,
		func() error { return r.handBack(true) },
		r.forgetNames,
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
	if r.after == nil {
		return nil
	}
	err := r.after(step)
	r.killed = err != nil
	return err
}

func (r *run) put(s state) error {
	return r.perform("record the phase "+string(s.Phase)+" in "+StatePath, func() error {
		if err := r.save(s); err != nil {
			return err
		}
		r.state = s
		return nil
	})
}
