package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/install"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/preflight"
)

// doctorCommand checks all that can be wrong on a node.
type doctorCommand struct {
	output cli.Output
}

func newDoctorCommand() *cobra.Command {
	var c doctorCommand
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything on this node, and print what to do about what is wrong",
		Long: `Doctor makes all checks of this node in one go: the configuration (as "imagefit
config check --live"), both daemons (as "imagefit status"), what "imagefit
install" wrote, the facts, and what was refused or failed in the last hour.
Each line is ok, warn or fail, and says what to do unless it is ok. It changes
nothing. Run it as root, who alone sees the processes of others, and attach
what "imagefit doctor -o json" prints to a bug report: it has no credentials,
but names of sockets, files and programs.

Exit code 0: all is ok, or warnings only; 3: something failed; 1: error.`,
		Example: `  sudo imagefit doctor
  sudo imagefit doctor -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

// The states of a line of doctor.
const (
	lineOK   = "ok"
	lineWarn = "warn"
	lineFail = "fail"
)

// doctorLine is one line of doctor.
type doctorLine struct {
	State string `json:"state"`
	Check string `json:"check"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"` // what to do
}

// doctorReport is what "doctor -o json" prints.
type doctorReport struct {
	Version string       `json:"version"` // of this program
	OK      bool         `json:"ok"`      // nothing failed
	Lines   []doctorLine `json:"lines"`
}

func (c doctorCommand) run(cmd *cobra.Command) error {
	src, err := cli.ConfigSources(cmd)
	if err != nil {
		return err
	}
	d := doctor{version: cmd.Root().Version, now: time.Now()}
	d.examine(cmd.Context(), src)
	report := doctorReport{Version: d.version, OK: !d.failed(), Lines: d.lines}
	err = c.output.Print(cmd, report, func(b *cli.Console) { printDoctor(b, report.Lines) })
	switch {
	case err != nil:
		return err
	case !report.OK:
		return cli.ExitError(exitProblem)
	}
	return nil
}

// doctor collects the lines.
type doctor struct {
	version string // of this program
	now     time.Time
	lines   []doctorLine
}

// examine makes all checks. That the configuration is wrong hides nothing else: the
// daemons run on with the last valid one.
func (d *doctor) examine(ctx context.Context, src config.Sources) {
	usable := src.LoadUsable(decisionlog.Programs()...)
	for _, problem := range config.Problems(usable.Err) {
		d.add(lineFail, "configuration", problem.Error(), "correct it, then systemctl reload cri-proxy nri-plugin")
	}
	if usable.Err == nil {
		d.add(lineOK, "configuration", strings.TrimSpace(configReport{File: src.Path(), Read: usable.Loaded.Files}.summary()), "")
	}
	node := preflight.Node{Root: "/", Config: usable.Config, Peer: preflight.Peer}
	for _, f := range node.Run(ctx) {
		state := map[preflight.State]string{preflight.OK: lineOK, preflight.Unknown: lineWarn, preflight.Problem: lineFail}[f.State]
		d.add(state, f.Check, f.Text, f.Fix)
	}
	for _, daemon := range (statusCommand{}).collect(ctx, usable.Config).Daemons {
		d.checkDaemon(daemon)
	}
	d.checkInstallation()
	d.checkFacts(ctx, usable.Config)
	d.checkDecisions(usable.Config)
}

func (d *doctor) add(state, check, text, do string) {
	d.lines = append(d.lines, doctorLine{state, check, text, do})
}

func (d *doctor) failed() bool {
	return slices.ContainsFunc(d.lines, func(l doctorLine) bool { return l.State == lineFail })
}

func (d *doctor) checkDaemon(s daemonStatus) {
	log := "see its log: journalctl -u " + s.Program
	switch {
	case s.Address == "":
		d.add(lineWarn, s.Program, "cannot tell whether it is ready: "+httpKey(s.Program)+` is ""`, "set it to an address")
		return
	case s.Status == nil:
		d.add(lineFail, s.Program, s.Problem, "start it: systemctl start "+s.Program+", or "+log)
		return
	}
	healthy := true
	for _, check := range s.Status.Checks {
		if check.OK {
			continue
		}
		healthy = healthy && check.Optional
		state := lineFail
		if check.Optional {
			state = lineWarn
		}
		d.add(state, s.Program, check.Name+": "+check.Problem, log)
	}
	if s.Status.Config.Failed {
		d.add(lineFail, s.Program, "it runs with an older configuration: the one on disk is not valid", "imagefit config check")
	}
	for _, h := range s.Status.SilentHosts {
		d.add(lineWarn, s.Program, fmt.Sprintf("%s did not list referrers in time, pulls from %s do not wait for it", h.Host, h.Registry),
			"check that this node reaches "+h.Host)
	}
	if s.Status.Version != d.version {
		d.add(lineWarn, s.Program, "it is "+s.Status.Version+", while this program is "+d.version, "systemctl restart "+s.Program)
	}
	if s.Program == decisionlog.Proxy && len(s.Status.Clients) == 0 {
		d.add(lineWarn, s.Program, "no client has called it for "+ago(s.Status.Started, d.now)+", since its start", "see the line of the kubelet")
	}
	if healthy && s.Status.Ready {
		d.add(lineOK, s.Program, fmt.Sprintf("%s is ready in mode %s, started %s ago", s.Status.Version, s.Status.Mode, ago(s.Status.Started, d.now)), "")
	}
}

// checkInstallation looks at what imagefit install put here, which a package need not have
// used.
func (d *doctor) checkInstallation() {
	const check = "installation"
	own, _ := os.Executable()
	status, err := (&install.Installer{Root: "/", Programs: filepath.Dir(own)}).Check()
	switch {
	case errors.Is(err, os.ErrPermission):
		d.add(lineWarn, check, err.Error(), "run this as root")
		return
	case err != nil:
		d.add(lineWarn, check, err.Error(), "imagefit install --dry-run")
		return
	case status.Version == "":
		return
	case !status.Finished:
		d.add(lineFail, check, "it was interrupted", "imagefit install finishes it, imagefit uninstall takes it back")
		return
	}
	for _, path := range status.Changed {
		d.add(lineWarn, check, path+" was changed or removed by someone else", "imagefit uninstall --dry-run shows how; imagefit install --force writes it again")
	}
	for _, path := range status.Outdated {
		d.add(lineWarn, check, path+" is not what this node needs any more", "imagefit install --dry-run, then imagefit install")
	}
	if len(status.Changed)+len(status.Outdated) == 0 {
		d.add(lineOK, check, "by imagefit install "+status.Version+" on "+status.Platform+", unchanged", "")
	}
}

func (d *doctor) checkFacts(ctx context.Context, cfg config.Config) {
	found, err := collect(ctx, hostfacts.NewRoot(cfg.Facts.Root))
	if err != nil {
		d.add(lineFail, "facts", err.Error(), "correct facts.root, or run this as root")
		return
	}
	features := found.Features()
	unknown := oneForEachCause(features.Unknown)
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		if cause := unknown[name]; strings.Contains(cause, "permission denied") {
			d.add(lineWarn, "facts", name+" is unknown: "+cause, "run this as root")
		}
	}
	for _, problem := range found.Problems() {
		d.add(lineWarn, "facts", "skipped: "+problem, "correct the file")
	}
	d.add(lineOK, "facts", fmt.Sprintf("%s/%s, %d sets known, %d facts unknown", found.OS(), found.Arch(), len(features.Sets()), len(features.Unknown)), "")
}

// recently is how far back decisions are counted.
const recently = time.Hour

func (d *doctor) checkDecisions(cfg config.Config) {
	const check = "decisions"
	found, err := decisionlog.Open(cfg.StateDir).Read(decisionlog.Filter{Since: d.now.Add(-recently)})
	if err != nil {
		do := "check the disk of state_dir"
		if errors.Is(err, os.ErrPermission) {
			do = "run this as root"
		}
		d.add(lineWarn, check, err.Error(), do)
		return
	}
	count := map[policy.Action]int{}
	for _, r := range found {
		count[r.Action]++
	}
	wrong := false
	for _, action := range []policy.Action{policy.Refused, policy.Failed, policy.FoundUnfit} {
		if n := count[action]; n > 0 {
			wrong = true
			d.add(lineWarn, check, fmt.Sprintf("%d %s in the last hour", n, action), "imagefit decisions --since 1h --action "+string(action))
		}
	}
	if !wrong {
		d.add(lineOK, check, fmt.Sprintf("%d in the last hour, none of them refused or failed", len(found)), "")
	}
}

func printDoctor(b *cli.Console, lines []doctorLine) {
	table := b.Table()
	for _, l := range lines {
		fmt.Fprintf(table, "%s\t%s\t%s\n", b.Paint(styleOf(l.State), l.State), l.Check, printable(oneLine(l.Text)))
		if l.Do != "" {
			fmt.Fprintf(table, "\t\t-> %s\n", printable(oneLine(l.Do)))
		}
	}
	table.Flush()
}
