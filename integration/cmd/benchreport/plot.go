package main

import (
	"fmt"
	"html"
	"strings"
)

// Sizes of a plot, in pixels.
const (
	plotWidth, labelWidth, ratioWidth = 760, 260, 130
	rowHeight, barHeight              = 44, 14
)

// isTimed reports whether the table compares times of two sides, which can be plotted.
func (c claim) isTimed() bool {
	return len(c.columns) > 2 && c.columns[2].compared == asRatio
}

// plot draws the times of both sides, row by row, each on a scale of its own: the ratio is
// what matters.
func (c claim) plot(rows []Result) string {
	var b strings.Builder
	height := rowHeight*len(rows) + 40
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" font-family="sans-serif" font-size="12">`+"\n",
		plotWidth, height, plotWidth, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n", html.EscapeString(c.title))
	direct, proxied := c.columns[0], c.columns[1]
	for i, row := range rows {
		top := 10 + i*rowHeight
		most := max(row.Values[direct.unit], row.Values[proxied.unit])
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, top+rowHeight/2, html.EscapeString(row.label()))
		for side, col := range []column{direct, proxied} {
			c.bar(&b, top+4+side*(barHeight+2), row.Values[col.unit]/most, []string{"#8a8f98", "#1f6feb"}[side])
			fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", plotWidth-ratioWidth+6, top+15+side*(barHeight+2), format(row.Values, col))
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" font-weight="bold">%s×</text>`+"\n",
			plotWidth-8, top+rowHeight/2, format(row.Values, c.columns[2]))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#57606a">grey: %s; blue: %s</text>`+"\n</svg>\n", labelWidth, height-10,
		html.EscapeString(direct.heading), html.EscapeString(proxied.heading))
	return b.String()
}

func (claim) bar(b *strings.Builder, y int, part float64, colour string) {
	width := part * float64(plotWidth-labelWidth-ratioWidth)
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.0f" height="%d" fill="%s"/>`+"\n", labelWidth, y, width, barHeight, colour)
}
