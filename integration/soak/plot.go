package soak

import (
	"fmt"
	"html"
	"strings"
)

// The picture, in pixels: panels below each other, the last of them with the names of faults.
const (
	width, panelHeight, gap, left = 1000, 110, 34, 60
)

// panel is one figure of both daemons over time.
type panel struct {
	title string
	of    func(s sample) []float64
}

func panels() []panel {
	return []panel{
		{"memory, MiB", func(s sample) []float64 { return []float64{s.proxy.rssMiB, s.plugin.rssMiB} }},
		{"goroutines", func(s sample) []float64 { return []float64{float64(s.proxy.goroutines), float64(s.plugin.goroutines)} }},
		{"open files", func(s sample) []float64 { return []float64{float64(s.proxy.fds), float64(s.plugin.fds)} }},
		{"state folder, MiB", func(s sample) []float64 { return []float64{s.stateMiB} }},
	}
}

// colours of the lines: cri-proxy and nri-plugin.
func colours() []string { return []string{"#1f5fa8", "#c0562b"} }

// plot draws what the daemons held, with the times of faults behind it, as SVG.
func (r *report) plot(faults []span) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) == 0 {
		return ""
	}
	seconds := max(1, r.samples[len(r.samples)-1].at.Sub(r.Begin).Seconds())
	x := func(at float64) float64 { return left + at/seconds*(width-left-10) }
	height := len(panels())*(panelHeight+gap) + gap
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	for _, s := range faults {
		if s.end.IsZero() {
			continue
		}
		from, to := x(s.begin.Sub(r.Begin).Seconds()), x(s.end.Sub(r.Begin).Seconds())
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#eeeeee"><title>%s</title></rect>`+"\n",
			from, gap, max(1, to-from), height-2*gap, html.EscapeString(s.fault))
	}
	fmt.Fprintf(&b, `<text x="%d" y="16"><tspan fill="%s">cri-proxy</tspan>  <tspan fill="%s" dx="10">nri-plugin</tspan>`+
		`<tspan dx="10" fill="#666">grey: a fault; %.0f seconds, seed %d</tspan></text>`+"\n", left, colours()[0], colours()[1], seconds, r.Seed)
	for i, p := range panels() {
		r.drawPanel(&b, p, gap+i*(panelHeight+gap), x)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (r *report) drawPanel(b *strings.Builder, p panel, top int, x func(float64) float64) {
	highest := 1.0
	for _, s := range r.samples {
		for _, value := range p.of(s) {
			highest = max(highest, value)
		}
	}
	bottom := top + panelHeight
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="#333">%s</text><text x="%d" y="%d" text-anchor="end" fill="#666">%.0f</text>`+
		`<text x="%d" y="%d" text-anchor="end" fill="#666">0</text><path d="M%d %dV%dH%d" stroke="#999" fill="none"/>`+"\n",
		left, top-4, p.title, left-6, top+10, highest, left-6, bottom, left, top, bottom, width-10)
	for line := range p.of(r.samples[0]) {
		fmt.Fprintf(b, `<path fill="none" stroke="%s" d="`, colours()[line])
		pen := "M"
		for _, s := range r.samples {
			value := p.of(s)[line]
			if value == 0 { // it was away, or did not answer
				pen = "M"
				continue
			}
			fmt.Fprintf(b, "%s%.0f %.0f", pen, x(s.at.Sub(r.Begin).Seconds()), float64(bottom)-value/highest*panelHeight)
			pen = "L"
		}
		b.WriteString("\"/>\n")
	}
}
