package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/health"
)

// printStatus says it for people.
func printStatus(w io.Writer, s nodeStatus, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "PROGRAM\tVERSION\tMODE\tUP\tSTATE")
	for _, d := range s.Daemons {
		fmt.Fprintf(table, "%s\t%s\n", d.Program, d.line(now))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := printDetails(w, s, now); err != nil {
		return err
	}
	switch {
	case s.DecisionsProblem != "":
		_, err := fmt.Fprintf(w, "\nlast decisions: %s\n", decision.Line(s.DecisionsProblem))
		return err
	case len(s.Decisions) > 0:
		fmt.Fprintln(w)
		return printRecords(w, s.Decisions)
	}
	return nil
}

func (d daemonStatus) line(now time.Time) string {
	switch {
	case d.Address == "":
		key := "proxy.http_listen"
		if d.Program != "cri-proxy" {
			key = "nri.http_listen"
		}
		return "-\t-\t-\tnot asked: " + key + ` is ""`
	case d.Status == nil:
		return "-\t-\t-\t" + decision.Line(d.Problem)
	}
	state := "ready"
	if !d.Status.Ready {
		state = "not ready"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s", decision.Line(d.Status.Version), decision.Line(d.Status.Mode), ago(d.Status.Started, now), state)
}

// printDetails prints a list of name and text for all daemons that answered.
func printDetails(w io.Writer, s nodeStatus, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	begin := "\n"
	for _, d := range s.Daemons {
		if d.Status == nil {
			continue
		}
		fmt.Fprintf(table, "%s%s\n", begin, d.Program)
		for _, c := range d.Status.Checks {
			switch {
			case c.OK:
			case c.Optional:
				fmt.Fprintf(table, "  warning\t%s: %s\n", decision.Line(c.Name), decision.Line(c.Problem))
			default:
				fmt.Fprintf(table, "  waits for\t%s: %s\n", decision.Line(c.Name), decision.Line(c.Problem))
			}
		}
		details(table, d.Status, now)
		begin = ""
	}
	return table.Flush()
}

func details(w io.Writer, s *health.Status, now time.Time) {
	fmt.Fprintf(w, "  facts\tof %s ago, changed %d times\n", ago(s.Facts.Refreshed, now), s.Facts.Changes)
	fmt.Fprintf(w, "  cache\t%.1f of %d MiB in %d files\n", mebibytes(s.Cache.Bytes), s.Cache.Limit>>20, s.Cache.Files)
	text := "taken up " + ago(s.Config.Loaded, now) + " ago"
	if s.Config.Failed {
		text += "; the one on disk is not valid, see imagefit config check"
	}
	fmt.Fprintf(w, "  configuration\t%s\n", text)
	var counts []string
	for _, action := range slices.Sorted(maps.Keys(s.Decisions)) {
		if s.Decisions[action] > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", s.Decisions[action], decision.Line(action)))
		}
	}
	if len(counts) == 0 {
		counts = []string{"none"}
	}
	fmt.Fprintf(w, "  decisions\t%s since its start\n", strings.Join(counts, ", "))
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// ago is how long something was ago, as precisely as people want to know.
func ago(at, now time.Time) string {
	age := max(0, now.Sub(at))
	switch {
	case age < time.Minute:
		return fmt.Sprintf("%ds", int(age.Seconds()))
	case age < time.Hour:
		return fmt.Sprintf("%dm", int(age.Minutes()))
	case age < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(age.Hours()), int(age.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(age.Hours())/24, int(age.Hours())%24)
}
