package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxViolations bounds what is kept; one fault of the product shows in many ways.
const maxViolations = 200

// report collects what happened.
type report struct {
	Seed  uint64
	Begin time.Time

	mu         sync.Mutex
	counts     map[string]int // of operations with their outcome
	violations []string
	samples    []sample
	calms      []sample // at rest
}

func newReport(seed uint64) *report {
	return &report{Seed: seed, Begin: time.Now(), counts: map[string]int{}}
}

// count counts an operation with its outcome.
func (r *report) count(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[what]++
}

// violated notes that something does not hold.
func (r *report) violated(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts["violations"]++
	if len(r.violations) < maxViolations {
		text := fmt.Sprintf(format, args...)
		r.violations = append(r.violations, fmt.Sprintf("%6.1fs %s", time.Since(r.Begin).Seconds(), text))
	}
}

// Violations are the first of what does not hold, with their times.
func (r *report) Violations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.violations)
}

func (r *report) sampled(s sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, s)
}

// Text is the report for people.
func (r *report) Text(faults []span) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	required := "is"
	if r.Seed%2 == 0 {
		required = "is not"
	}
	fmt.Fprintf(&b, "soak of %s, seed %d: the plugin %s required\n\n", time.Since(r.Begin).Round(time.Second), r.Seed, required)
	b.WriteString("operations and outcomes\n")
	for _, what := range slices.Sorted(maps.Keys(r.counts)) {
		fmt.Fprintf(&b, "%8d  %s\n", r.counts[what], what)
	}
	times := map[string]int{}
	for _, s := range faults {
		times[s.fault]++
	}
	b.WriteString("\nfaults\n")
	for _, name := range slices.Sorted(maps.Keys(times)) {
		fmt.Fprintf(&b, "%8d  %s\n", times[name], name)
	}
	b.WriteString("\nat rest\n    time  cri-proxy                            nri-plugin                           state\n")
	for _, s := range r.calms {
		fmt.Fprintf(&b, "%7.0fs  %-36s %-36s %.1f MiB\n", s.at.Sub(r.Begin).Seconds(), s.proxy, s.plugin, s.stateMiB)
	}
	var peak sample
	for _, s := range r.samples {
		peak.proxy, peak.plugin = peak.proxy.max(s.proxy), peak.plugin.max(s.plugin)
		peak.stateMiB = max(peak.stateMiB, s.stateMiB)
	}
	fmt.Fprintf(&b, "    peak  %-36s %-36s %.1f MiB\n", peak.proxy, peak.plugin, peak.stateMiB)
	if len(r.violations) > 0 {
		fmt.Fprintf(&b, "\nviolations\n%s\n", strings.Join(r.violations, "\n"))
	}
	return b.String()
}

func (b burden) String() string {
	return fmt.Sprintf("%.0f MiB, %d files, %d goroutines", b.rssMiB, b.fds, b.goroutines)
}

func (b burden) max(o burden) burden {
	return burden{rssMiB: max(b.rssMiB, o.rssMiB), fds: max(b.fds, o.fds), goroutines: max(b.goroutines, o.goroutines)}
}
