// Package dashboard draws deploy/grafana/imagefit.json from what a Prometheus recorded, with
// the layout, queries, units and legends of the file. It stands in for Grafana, which the
// tests cannot have.
package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// Dashboard is the file.
type Dashboard struct {
	Title  string
	Panels []Panel
}

// Panel is one panel of it.
type Panel struct {
	Type, Title string
	GridPos     struct{ H, W, X, Y int }
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Decimals   *int
			Thresholds struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
		}
	}
	Targets []struct{ Expr, LegendFormat string }

	// Lines is what the queries return.
	Lines []Line
}

// Line is a series with its name in the legend.
type Line struct {
	Name string
	stack.Series
}

// Read reads the file.
func Read(path string) (*Dashboard, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := new(Dashboard)
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return d, nil
}

// Query asks Prometheus for what all panels show between two times.
func (d *Dashboard) Query(ctx context.Context, p *stack.Prometheus, from, to time.Time) error {
	step := max(to.Sub(from)/300, stack.ScrapeInterval).Truncate(time.Second)
	for i := range d.Panels {
		if err := d.Panels[i].query(ctx, p, from, to, step); err != nil {
			return fmt.Errorf("panel %q: %w", d.Panels[i].Title, err)
		}
	}
	return nil
}

func (panel *Panel) query(ctx context.Context, p *stack.Prometheus, from, to time.Time, step time.Duration) error {
	panel.Lines = nil
	// Grafana takes at least four scrapes, and at least a step.
	macros := strings.NewReplacer("$__rate_interval", max(10*stack.ScrapeInterval, step).String(), "$instance", ".*")
	for _, target := range panel.Targets {
		all, err := p.Range(ctx, macros.Replace(target.Expr), from, to, step)
		if err != nil {
			return err
		}
		for _, series := range all {
			panel.Lines = append(panel.Lines, Line{legend(target.LegendFormat, series.Labels), series})
		}
	}
	return nil
}

// Empty are the titles of panels whose queries return no number.
func (d *Dashboard) Empty() (titles []string) {
	for _, panel := range d.Panels {
		if panel.Type != "row" && !panel.hasNumbers() {
			titles = append(titles, panel.Title)
		}
	}
	return titles
}

func (panel *Panel) hasNumbers() bool {
	for _, line := range panel.Lines {
		for _, point := range line.Points {
			if !math.IsNaN(point.Value) {
				return true
			}
		}
	}
	return false
}

var placeholder = regexp.MustCompile(`\{\{(\w+)\}\}`)

// legend fills labels into the format of a legend, or lists them without one.
func legend(format string, labels map[string]string) string {
	if format == "" {
		var words []string
		for _, name := range []string{"program", "version", "instance", "action"} {
			if labels[name] != "" {
				words = append(words, labels[name])
			}
		}
		return strings.Join(words, " ")
	}
	return placeholder.ReplaceAllStringFunc(format, func(found string) string { return labels[strings.Trim(found, "{}")] })
}

// Text is a value in the unit of the panel.
func (panel *Panel) Text(value float64) string {
	scaled := func(value float64, base float64, units ...string) string {
		n := 0
		for ; math.Abs(value) >= base && n < len(units)-1; n++ {
			value /= base
		}
		return fmt.Sprintf("%.3g%s", value, units[n])
	}
	defaults := panel.FieldConfig.Defaults
	switch unit := defaults.Unit; {
	case math.IsNaN(value):
		return "-"
	case defaults.Decimals != nil:
		return fmt.Sprintf("%.*f", *defaults.Decimals, value)
	case unit == "bytes":
		return scaled(value, 1024, " B", " KiB", " MiB", " GiB")
	case unit == "percentunit":
		return fmt.Sprintf("%.3g%%", value*100)
	case unit == "s" && math.Abs(value) < 1:
		return scaled(value*1e6, 1000, " µs", " ms")
	case unit == "s":
		return fmt.Sprintf("%.3g s", value)
	case unit == "ops":
		return fmt.Sprintf("%.3g/s", value)
	}
	return fmt.Sprintf("%.4g", value)
}
