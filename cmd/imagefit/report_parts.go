package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imagefit/imagefit/pkg/audit"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/hostfacts/snapshot"
	"github.com/imagefit/imagefit/pkg/page"
)

const (
	// maxShownDecisions bounds the decisions in a table, maxPoints those in a plot.
	maxShownDecisions = 500
	maxPoints         = 3000
)

// health is the state of the daemons.
func (r *report) health(s nodeStatus) page.Part {
	t := page.Table{Heading: "Health", Columns: []string{"program", "what", "state"}}
	for _, d := range s.Daemons {
		var details strings.Builder
		if d.Status != nil {
			printDetails(&details, d.Status, r.now)
		}
		t.Rows = append(t.Rows, []string{d.Program, "version, mode, up, state", strings.ReplaceAll(d.line(r.now), "\t", ", ")})
		for line := range strings.Lines(details.String()) {
			what, state, _ := strings.Cut(strings.TrimSpace(line), "\t")
			t.Rows = append(t.Rows, []string{d.Program, what, state})
		}
	}
	return t
}

// audit is what would not be admitted now.
func (r *report) audit(ctx context.Context) []page.Part {
	t := page.Table{Heading: "What would not be admitted now", Columns: []string{"verdict", "pod", "container", "image", "reason"}, Empty: "nothing"}
	known, err := liveFacts(ctx, r.usable.Config)
	var found audit.Report
	if err == nil {
		found, err = auditNode(ctx, r.usable.Config, known, r.stderr)
	}
	if err != nil {
		t.Note, t.Empty = err.Error(), "not known"
		return []page.Part{t}
	}
	counts := found.Counts()
	t.Note = "Running containers: " + countsLine(counts.Containers) + ". Image names: " + countsLine(counts.Images) + "."
	for _, c := range found.Containers {
		if c.Unfit() {
			t.Rows = append(t.Rows, []string{string(c.Verdict), c.Namespace + "/" + c.Pod, c.Name, c.Reference, strings.TrimPrefix(c.Reason, c.Reference+" ")})
		}
	}
	for _, i := range found.Images {
		if i.Unfit() {
			t.Rows = append(t.Rows, []string{string(i.Verdict), "", "", i.Reference, strings.TrimPrefix(i.Reason, i.Reference+" ")})
		}
	}
	return []page.Part{t}
}

func (r *report) images(list imageList) page.Part {
	t := page.Table{
		Heading: "Images", Note: strings.Join(list.Problems, "; "), Empty: "none",
		Columns: []string{"name", "variant", "manifest", "for", "kept by", "pod"},
	}
	for _, i := range list.Images {
		since := ""
		if i.Since != nil {
			since = ago(*i.Since, r.now)
		}
		t.Rows = append(t.Rows, []string{i.Name, i.Variant, shortDigest(i.Manifest), since, i.KeptBy, strings.Trim(i.Namespace+"/"+i.Pod, "/")})
	}
	return t
}

func (r *report) decisions(records []decisionlog.Record, problem string) page.Part {
	t := page.Table{
		Heading: "Decisions", Note: problem, Empty: "none", Folded: true,
		Columns: []string{"time", "program", "action", "would", "pod", "image", "variant", "took", "reason"},
	}
	counts := map[string]int{}
	for _, rec := range records {
		counts[string(rec.Action)]++
	}
	if problem == "" {
		var words []string
		for action, n := range counts {
			words = append(words, fmt.Sprintf("%d %s", n, action))
		}
		slices.Sort(words)
		t.Note = fmt.Sprintf("Since %s: %d decisions (%s), the last %d of them:", r.since.UTC().Format(time.DateTime), len(records),
			strings.Join(words, ", "), min(len(records), maxShownDecisions))
	}
	for _, rec := range slices.Backward(records[max(0, len(records)-maxShownDecisions):]) {
		pod := strings.Trim(rec.Namespace+"/"+rec.Pod+"/"+rec.Container, "/")
		why := strings.Trim(rec.Reason+": "+rec.Error, ": ")
		t.Rows = append(t.Rows, []string{rec.Time.UTC().Format(time.DateTime), rec.Program, string(rec.Action), string(rec.Would), pod,
			rec.Reference, rec.Choice, rec.Took.Round(time.Millisecond / 10).String(), why})
	}
	return t
}

// latencies are plots of how long pulls and their decisions took, and admissions.
func latencies(records []decisionlog.Record) (parts []page.Part) {
	for _, kind := range []struct {
		heading, program string
		of               func(decisionlog.Record) time.Duration
	}{
		{"How long pulls took", decisionlog.Proxy, func(r decisionlog.Record) time.Duration { return r.Took }},
		{"How long decisions about pulls took", decisionlog.Proxy, func(r decisionlog.Record) time.Duration { return r.Decided }},
		{"How long decisions about containers took", decisionlog.Plugin, func(r decisionlog.Record) time.Duration { return r.Took }},
	} {
		var points []page.Point
		var took []time.Duration
		for _, r := range records {
			if d := kind.of(r); r.Program == kind.program && d > 0 {
				took = append(took, d)
				title := fmt.Sprintf("%s, %s: %s", r.Time.UTC().Format(time.DateTime), d.Round(time.Microsecond), r.Reference)
				points = append(points, page.Point{X: float64(r.Time.Unix()), Y: math.Log10(d.Seconds()), Title: title})
			}
		}
		if len(points) > 0 {
			parts = append(parts, plot(kind.heading, points[max(0, len(points)-maxPoints):], took))
		}
	}
	return parts
}

// plot plots durations over time, both with a few words at the axes.
func plot(heading string, points []page.Point, took []time.Duration) page.Part {
	slices.Sort(took)
	at := func(part float64) time.Duration { return took[int(part*float64(len(took)-1))].Round(time.Microsecond) }
	p := page.Plot{
		Heading: heading, Points: points,
		Note: fmt.Sprintf("%d values: half of them took no more than %s, 95 %% no more than %s, the longest %s.", len(took), at(.5), at(.95), at(1)),
	}
	p.Label = heading + ", each over the time at which it began. " + p.Note
	first, last := points[0].X, points[len(points)-1].X
	p.X = page.Axis{From: first, To: last}
	for _, x := range []float64{first, (first + last) / 2, last} {
		p.X.Ticks = append(p.X.Ticks, page.Tick{At: x, Text: time.Unix(int64(x), 0).UTC().Format("01-02 15:04")})
	}
	low, high := math.Floor(math.Log10(took[0].Seconds())), math.Ceil(math.Log10(took[len(took)-1].Seconds()))
	p.Y = page.Axis{From: low, To: max(high, low+1)}
	for y := low; y <= p.Y.To; y++ {
		p.Y.Ticks = append(p.Y.Ticks, page.Tick{At: y, Text: time.Duration(math.Round(math.Pow(10, y) * float64(time.Second))).String()})
	}
	return p
}

// configuration is each value and where it was set.
func (r *report) configuration() page.Part {
	t := page.Table{Heading: "Configuration", Columns: []string{"key", "value", "origin"}, Folded: true}
	if r.usable.Loaded == nil {
		t.Note = "The configuration on disk cannot be loaded."
		for _, p := range config.Problems(r.usable.Err) {
			t.Rows = append(t.Rows, []string{"", p.Error(), ""})
		}
		return t
	}
	for _, v := range r.usable.Loaded.Values() {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v.Value); err != nil {
			fmt.Fprint(&text, v.Value)
		}
		t.Rows = append(t.Rows, []string{v.Key(), strings.TrimSpace(text.String()), v.Origin})
	}
	return t
}

// facts are a table of each family, with where each fact was read.
func (r *report) facts(ctx context.Context) (parts []page.Part) {
	known, err := r.shareable(ctx)
	if err != nil {
		return []page.Part{page.Table{Heading: "Facts", Note: err.Error(), Empty: "not known"}}
	}
	features := known.Features()
	byFamily := map[string][][]string{}
	add := func(set, element, value string) {
		family, _, _ := strings.Cut(set, ".")
		byFamily[family] = append(byFamily[family], []string{set, element, value, known.Origin(set, element)})
	}
	for set, flags := range features.Flags {
		for _, flag := range flags {
			add(set, flag, "present")
		}
	}
	for set, attributes := range features.Attributes {
		for element, value := range attributes {
			add(set, element, value)
		}
	}
	for set, list := range features.Instances {
		for _, one := range list {
			add(set, one["name"], instanceLine(one))
		}
	}
	for name, cause := range features.Unknown {
		set, element, _ := strings.Cut(name, "/")
		add(set, element, "unknown: "+cause)
	}
	note := fmt.Sprintf("%s/%s, fingerprint %s. %s", known.OS(), known.Arch(), known.Fingerprint(), strings.Join(known.Problems(), "; "))
	for _, family := range slices.Sorted(maps.Keys(byFamily)) {
		rows := byFamily[family]
		slices.SortFunc(rows, slices.Compare)
		parts = append(parts, page.Table{
			Heading: "Facts: " + family, Note: note, Folded: true, Columns: []string{"set", "element", "value", "read from"}, Rows: rows,
		})
		note = ""
	}
	return parts
}

// shareable are the facts of this node, without what identifies it.
func (r *report) shareable(ctx context.Context) (*facts.Facts, error) {
	root := hostfacts.NewRoot(r.usable.Config.Facts.Root)
	if r.names {
		return collect(ctx, root)
	}
	folder, err := os.MkdirTemp("", "imagefit-report-")
	if err != nil {
		return nil, fmt.Errorf("leave out of the facts what identifies this machine: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "facts.tar.gz")
	var taken bytes.Buffer
	if err := snapshot.Write(ctx, &taken, root, snapshot.Options{}); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, taken.Bytes(), 0o600); err != nil {
		return nil, err
	}
	if root, err = snapshot.Open(path); err != nil {
		return nil, err
	}
	return collect(ctx, root)
}

func instanceLine(instance map[string]string) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(instance)) {
		if key != "name" {
			words = append(words, key+"="+instance[key])
		}
	}
	return strings.Join(words, " ")
}
