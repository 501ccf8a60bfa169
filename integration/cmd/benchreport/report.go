package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Report is what was measured, and on what.
type Report struct {
	Machine Machine  `json:"machine"`
	Results []Result `json:"results"`
}

// Machine is what a report was made on.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Load   string `json:"load"` // average of fifteen minutes
	Day    string `json:"day"`
}

func thisMachine() Machine {
	m := Machine{
		CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Memory: field("/proc/meminfo", "MemTotal"),
		Go: runtime.Version(), Day: time.Now().UTC().Format(time.DateOnly),
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel, _, _ = strings.Cut(strings.TrimSpace(string(release)), "-")
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		if fields := strings.Fields(string(load)); len(fields) > 2 {
			m.Load = fields[2]
		}
	}
	return m
}

// field returns the value of the first line of a file under /proc that begins with a name.
func field(file, name string) string {
	text, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer text.Close()
	for lines := bufio.NewScanner(text); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// print shows the tables that there are results for.
func (r Report) print(out io.Writer) {
	for _, c := range claims() {
		if rows := c.of(r.Results); len(rows) > 0 {
			fmt.Fprintf(out, "## %s\n\n%s\n", c.title, c.table(rows))
		}
	}
}

// table is a table in Markdown.
func (c claim) table(rows []Result) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, col := range c.columns {
		b.WriteString(" " + col.heading + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(c.columns)) + "\n")
	for _, row := range rows {
		b.WriteString("| " + row.label() + " |")
		for _, col := range c.columns {
			b.WriteString(" " + format(row.Values, col) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// label is the name of a benchmark in words: its parts without slashes.
func (r Result) label() string {
	label := strings.NewReplacer("/", ", ", "=", " ").Replace(r.Name)
	return strings.Replace(label, "rtt 0s", "no distance", 1)
}

func format(values map[string]float64, col column) string {
	value, has := values[col.unit]
	switch {
	case !has:
		return ""
	case col.compared == asRatio:
		return strconv.FormatFloat(value, 'f', 2, 64)
	case !strings.HasSuffix(col.unit, "-us"):
		return strconv.FormatFloat(value, 'f', -1, 64)
	case value >= 1000:
		return strconv.FormatFloat(value/1000, 'f', 1, 64) + " ms"
	}
	return strconv.FormatFloat(value, 'f', 0, 64) + " µs"
}

// write keeps the report in a folder.
func (r Report) write(folder string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	files := map[string]string{kept: string(text) + "\n", "benchmarks.md": r.page()}
	for _, c := range claims() {
		if rows := c.of(r.Results); len(rows) > 0 && c.isTimed() {
			files[c.plotFile()] = c.plot(rows)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}

func (c claim) plotFile() string { return "benchmarks-" + c.key + ".svg" }

// page is benchmarks.md.
func (r Report) page() string {
	var b strings.Builder
	m := r.Machine
	b.WriteString("# Benchmarks\n\n")
	b.WriteString("`make bench-report` writes this page. Both sides of each ratio were measured in one go, in turns; times are medians.\n" +
		"Compare ratios, not times, and measure on your own machine: `make bench`. `make bench-check` fails if a ratio is\n" +
		"more than one and a half times the one here, or if a pull takes more requests.\n\n")
	fmt.Fprintf(&b, "Measured on %s: %s, %d cores, %s of memory, Linux %s, %s, load average %s.\n", m.Day, m.CPU, m.Cores, m.Memory, m.Kernel, m.Go, m.Load)
	for _, c := range claims() {
		rows := c.of(r.Results)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s", c.title, c.about, c.table(rows))
		if c.isTimed() {
			fmt.Fprintf(&b, "\n![%s](%s)\n", c.title, c.plotFile())
		}
	}
	return b.String()
}
