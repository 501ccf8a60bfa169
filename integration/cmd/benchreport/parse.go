package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Result is one benchmark, with the values that it reported by their units.
type Result struct {
	Name   string             `json:"name"` // without Benchmark and the number of CPUs
	Values map[string]float64 `json:"values"`
}

// parse reads the lines of benchmarks. The last one of a name counts.
func parse(in io.Reader) ([]Result, error) {
	cpus := regexp.MustCompile(`-[0-9]+$`)
	var results []Result
	at := map[string]int{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		name, isBench := "", false
		if len(fields) > 0 {
			name, isBench = strings.CutPrefix(fields[0], "Benchmark")
		}
		if !isBench || len(fields) < 4 {
			continue
		}
		if _, err := strconv.Atoi(fields[1]); err != nil {
			continue
		}
		r := Result{Name: cpus.ReplaceAllString(name, ""), Values: map[string]float64{}}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("read benchmark %s: %w", name, err)
			}
			r.Values[strings.Replace(fields[i+1], "µs", "us", 1)] = value
		}
		if i, known := at[r.Name]; known {
			results[i] = r
			continue
		}
		at[r.Name] = len(results)
		results = append(results, r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read benchmarks: %w", err)
	}
	return results, nil
}
