package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// hostile is text that ends scripts, attributes, elements and styles, or that would run.
const hostile = `</script><script>alert(1)</script>"'><img src=x onerror=alert(2)>{{.}}<!--]]></style>` + "\u2028\x00\xff"

// sample is a matrix of images by hosts that uses every kind of cell.
func sample(rows, columns int, cell func(r, c int) Cell) Matrix {
	m := Matrix{Heading: "What fits where", Row: "image", Column: "host", Cell: cell}
	for r := range rows {
		m.Rows = append(m.Rows, fmt.Sprintf("registry.example/team/app-%d:1", r))
	}
	for c := range columns {
		m.Columns = append(m.Columns, fmt.Sprintf("node-%03d", c))
	}
	return m
}

func written(t *testing.T, p Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// data returns the data of the only matrix of a page.
func data(t *testing.T, text string) interned {
	t.Helper()
	found := regexp.MustCompile(`(?s)<script type="application/json" class="data">(.*?)</script>`).FindStringSubmatch(text)
	if found == nil {
		t.Fatal("the page has no data")
	}
	var d interned
	if err := json.Unmarshal([]byte(found[1]), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTextsCannotBreakOutOfThePage(t *testing.T) {
	t.Parallel()
	m := sample(1, 1, func(int, int) Cell {
		return Cell{
			Verdict: Unfit, Variant: hostile, Reason: hostile, Before: &Before{Fits, hostile},
			Failing: []Failing{{hostile, hostile, hostile}},
		}
	})
	m.Heading, m.Note, m.Row, m.Column, m.Rows[0], m.Columns[0] = hostile, hostile, hostile, hostile, hostile, hostile
	text := written(t, Page{Title: hostile, Lead: []string{hostile}, Parts: []Part{
		m, Table{Heading: hostile, Note: hostile, Columns: []string{hostile}, Rows: [][]string{{hostile}}},
		Table{Empty: hostile},
		Plot{Heading: hostile, Note: hostile, Label: hostile, Points: []Point{{Title: hostile}}, X: Axis{Ticks: []Tick{{Text: hostile}}}},
	}})
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for node := range root.Descendants() {
		if node.Type != html.ElementNode {
			continue
		}
		counts[node.Data]++
		for _, a := range node.Attr {
			if strings.HasPrefix(a.Key, "on") || strings.Contains(a.Key, "<") || strings.Contains(a.Key, `"`) {
				t.Errorf("%s has the attribute %s", node.Data, a.Key)
			}
		}
	}
	if counts["script"] != 2 || counts["img"] != 0 || counts["style"] != 1 {
		t.Errorf("elements %v: want the script, the data and the style of the page", counts)
	}
	if d := data(t, text); !strings.HasPrefix(d.Rows[0], `</script><script>alert(1)`) {
		t.Errorf("the data has another text: %q", d.Rows[0])
	}
}

func TestPagesLoadNothing(t *testing.T) {
	t.Parallel()
	text := written(t, Page{Title: "t", Parts: []Part{sample(1, 1, func(int, int) Cell { return Cell{} })}})
	if !strings.Contains(text, "default-src &#39;none&#39;") && !strings.Contains(text, "default-src 'none'") {
		t.Error("no content security policy")
	}
	for _, pattern := range []string{`https?://`, `\bsrc=`, `\bhref=`, `url\(`, `@import`, `fetch\(`, `XMLHttpRequest`, `innerHTML`} {
		if found := regexp.MustCompile(pattern).FindString(text); found != "" {
			t.Errorf("the page has %q", found)
		}
	}
}

func TestCellsAndColumnsAreInThePageOnce(t *testing.T) {
	t.Parallel()
	cell := func(r, c int) Cell {
		if (r+c)%3 == 0 {
			return Cell{Verdict: Unfit, Failing: []Failing{{"linux/amd64", "cpu.cpuid AVX2", "absent"}}}
		}
		return Cell{Verdict: Fits, Variant: "linux/amd64"}
	}
	d := data(t, written(t, Page{Title: "t", Parts: []Part{sample(4, 500, cell)}}))
	if len(d.Cells) != 2 || len(d.Grid) != 3 || len(d.Of) != 500 {
		t.Errorf("%d cells, %d columns of %d: want 2, 3 and 500", len(d.Cells), len(d.Grid), len(d.Of))
	}
}

// distinct makes every column another one.
func distinct(r, c int) Cell {
	failing := []Failing{{"linux/amd64/v3", fmt.Sprintf("kernel.version >= 6.%d", c%40), fmt.Sprintf("is 5.%d", c%7)}}
	switch h := (r*7919 + c*104729 + r*c*31) % 17; {
	case h < 4:
		return Cell{Verdict: Unfit, Reason: "nothing fits", Failing: failing}
	case h < 6:
		return Cell{Verdict: Unknown, Variant: "linux/amd64", Failing: failing}
	default:
		return Cell{Verdict: Fits, Variant: fmt.Sprintf("linux/amd64/v%d", h%4+1)}
	}
}

func TestLargeMatrixIsBounded(t *testing.T) {
	t.Parallel()
	if text := written(t, Page{Title: "t", Parts: []Part{sample(200, 500, distinct)}}); len(text) > 1<<20 {
		t.Errorf("200 x 500 takes %d bytes", len(text))
	}
	unequal := func(r, c int) Cell { return Cell{Reason: fmt.Sprint(c % (r + 2))} }
	err := Page{Title: "t", Parts: []Part{sample(20_000, 100, unequal)}}.Write(&bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "leave some out") {
		t.Errorf("error %v", err)
	}
}

func TestSummaryHasTheResultsInWords(t *testing.T) {
	t.Parallel()
	cell := func(r, c int) Cell {
		switch {
		case r == 0 && c < 3:
			return Cell{
				Verdict: Unfit, Failing: []Failing{{"linux/amd64", "nvidia.driver >= 570", "is 535"}}, Before: &Before{Verdict: Fits},
			}
		case r == 1:
			return Cell{Verdict: Unknown, Reason: "the registry does not answer", Before: &Before{Verdict: Unknown}}
		}
		return Cell{Verdict: Fits, Variant: "linux/amd64", Before: &Before{Fits, "linux/amd64"}}
	}
	d, err := newInterned(sample(2, 5, cell))
	if err != nil {
		t.Fatal(err)
	}
	rows := d.summarize()
	want := []rowSummary{
		{"registry.example/team/app-0:1", 2, 0, 3, 3, "linux/amd64", "nvidia.driver >= 570 (is 535)"},
		{"registry.example/team/app-1:1", 0, 5, 0, 0, "", "the registry does not answer"},
	}
	for i := range want {
		if rows[i] != want[i] {
			t.Errorf("row %d:\n got %+v\nwant %+v", i, rows[i], want[i])
		}
	}
	if most := d.mostFailing(); len(most) != 1 || most[0] != (failingSummary{"nvidia.driver >= 570", 1, 3}) {
		t.Errorf("most failing %+v", most)
	}
}
