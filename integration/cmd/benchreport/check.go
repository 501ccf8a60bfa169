package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// absolute is by how much a ratio may differ at least: small ones are small differences of
// times.
const absolute = 0.15

// check compares ratios and counts with those of an earlier report. What only one of them
// has is not compared, and at least one value must be.
func (r Report) check(out io.Writer, file string, tolerance float64) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the kept numbers: %w", err)
	}
	var earlier Report
	if err := json.Unmarshal(text, &earlier); err != nil {
		return fmt.Errorf("read the kept numbers of %s: %w", file, err)
	}
	before := map[string]Result{}
	for _, result := range earlier.Results {
		before[result.Name] = result
	}
	compared, worse := 0, 0
	for _, c := range claims() {
		for _, now := range c.of(r.Results) {
			for _, col := range c.columns {
				value, has := now.Values[col.unit]
				want, had := before[now.Name].Values[col.unit]
				if !has || !had || col.compared == notCompared {
					continue
				}
				compared++
				limit := want + 0.5
				if col.compared == asRatio {
					limit = max(want*tolerance, want+absolute)
				}
				if value > limit {
					worse++
					fmt.Fprintf(out, "WORSE: %s, %s: %.2f, was %.2f, at most %.2f\n", now.Name, col.unit, value, want, limit)
				}
			}
		}
	}
	switch {
	case compared == 0:
		return errors.New("nothing could be compared: no benchmark has a name that is in " + file)
	case worse > 0:
		return fmt.Errorf("%d of %d values are worse than in %s", worse, compared, file)
	}
	fmt.Fprintf(out, "%d values are as good as in %s\n", compared, file)
	return nil
}
