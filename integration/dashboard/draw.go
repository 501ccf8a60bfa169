package dashboard

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"
)

//go:embed page.html.tmpl
var layout string

// The coordinates of a plot, which the page stretches to the panel.
const plotWidth, plotHeight = 400, 150

// Draw writes the page.
func (d *Dashboard) Draw(w io.Writer, from, to time.Time) error {
	page, err := template.New("page").Parse(layout)
	if err != nil {
		return err
	}
	view := struct {
		*Dashboard
		From, To string
		Panels   []panelView
	}{d, from.UTC().Format(time.TimeOnly), to.UTC().Format(time.TimeOnly), nil}
	for i := range d.Panels {
		view.Panels = append(view.Panels, d.Panels[i].view(from, to))
	}
	return page.Execute(w, view)
}

// panelView is a panel as the page shows it.
type panelView struct {
	*Panel
	Place     template.CSS
	Value     string // of a stat: the last one
	Colour    template.CSS
	Top       string // of the axis
	Lines     []lineView
	TableRows [][2]string
}

type lineView struct {
	Name   string
	Colour template.CSS
	Points string
	Last   string
}

func (panel *Panel) view(from, to time.Time) panelView {
	p := panel.GridPos
	v := panelView{Panel: panel, Place: template.CSS(fmt.Sprintf("grid-area: %d / %d / span %d / span %d", p.Y+1, p.X+1, p.H, p.W))}
	switch panel.Type {
	case "stat":
		last := panel.last(0)
		v.Value, v.Colour = panel.Text(last), template.CSS(panel.threshold(last))
	case "table":
		for i, line := range panel.Lines {
			v.TableRows = append(v.TableRows, [2]string{line.Name, panel.Text(panel.last(i))})
		}
	case "timeseries":
		top := panel.top()
		v.Top = panel.Text(top)
		for i, line := range panel.Lines {
			v.Lines = append(v.Lines, lineView{
				line.Name, template.CSS(fmt.Sprintf("hsl(%d 65%% 42%%)", i*67%360)), line.drawn(from, to, top), panel.Text(panel.last(i)),
			})
		}
	}
	return v
}

// last is the last number of a line.
func (panel *Panel) last(line int) float64 {
	if line < len(panel.Lines) {
		points := panel.Lines[line].Points
		for i := len(points) - 1; i >= 0; i-- {
			if !math.IsNaN(points[i].Value) {
				return points[i].Value
			}
		}
	}
	return math.NaN()
}

// threshold is the colour of a value.
func (panel *Panel) threshold(value float64) string {
	colour := "#222"
	for _, step := range panel.FieldConfig.Defaults.Thresholds.Steps {
		if step.Value == nil || value >= *step.Value {
			colour = map[string]string{"green": "#1a7f37", "red": "#c4212c", "yellow": "#a66f00", "orange": "#b85c00"}[step.Color]
		}
	}
	return colour
}

// top is the largest number of all lines.
func (panel *Panel) top() float64 {
	top := 0.0
	for _, line := range panel.Lines {
		for _, point := range line.Points {
			if !math.IsNaN(point.Value) {
				top = max(top, point.Value)
			}
		}
	}
	if top == 0 {
		return 1
	}
	return top
}

// drawn is a line as the path of an SVG, with gaps where there is no number.
func (line Line) drawn(from, to time.Time, top float64) string {
	var b strings.Builder
	command := "M"
	begin, length := float64(from.UnixMilli())/1000, to.Sub(from).Seconds()
	for _, point := range line.Points {
		if math.IsNaN(point.Value) {
			command = "M"
			continue
		}
		x, y := (point.At-begin)/length*plotWidth, plotHeight-point.Value/top*(plotHeight-6)-2
		fmt.Fprintf(&b, "%s%.1f %.1f", command, x, y)
		command = "L"
	}
	return b.String()
}
