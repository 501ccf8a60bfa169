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

// printStatus prints the status as text.
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
		return "-\t-\t-\tnot queried: " + key + ` is ""`
	case d.Status == nil:
		return "-\t-\t-\t" + decision.Line(d.Problem)
	}
	state := "ready"
	if !d.Status.Ready {
		state = "not ready"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s", decision.Line(d.Status.Version), decision.Line(d.Status.Mode), ago(d.Status.Started, now), state)
}

// printDetails prints the details of each daemon that answered.
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
				fmt.Fprintf(table, "  failing\t%s: %s\n", decision.Line(c.Name), decision.Line(c.Problem))
			}
		}
		details(table, d.Status, now)
		begin = ""
	}
	return table.Flush()
}

func details(w io.Writer, s *health.Status, now time.Time) {
	fmt.Fprintf(w, "  facts\trefreshed %s ago, changed %d times\n", ago(s.Facts.Refreshed, now), s.Facts.Changes)
	fmt.Fprintf(w, "  cache\t%.1f of %d MiB, %d files\n", mebibytes(s.Cache.Bytes), s.Cache.Limit>>20, s.Cache.Files)
	text := "loaded " + ago(s.Config.Loaded, now) + " ago"
	if s.Config.Failed {
		text += "; the last reload failed, run imagefit config check"
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
	fmt.Fprintf(w, "  decisions\t%s since start\n", strings.Join(counts, ", "))
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// ago is the age of something in at most two units.
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
