// Package testkit holds what tests of several packages start from. Fakes, golden
// files and conformance suites are below it; nothing here is for product code.
package testkit

import (
	"strconv"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/facts"
)

// Specs returns the embedded compatibility specs.
func Specs(t testing.TB) []spec.Spec {
	t.Helper()
	specs, err := spec.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return specs
}

// Interpreter returns an interpreter of the embedded compatibility specs.
func Interpreter(t testing.TB) *spec.Interpreter {
	t.Helper()
	return spec.NewInterpreter(Specs(t))
}

// Node returns the facts of an amd64 node of an x86-64 level with these CPU flags
// and Linux 6.1.0.
func Node(level int, flags ...string) *facts.Facts {
	return facts.New("linux", "amd64", facts.Features{
		Flags: map[string][]string{"cpu.cpuid": flags},
		Attributes: map[string]map[string]string{
			"cpu.x86_64":     {"level": strconv.Itoa(level)},
			"kernel.version": {"full": "6.1.0", "major": "6", "minor": "1", "revision": "0"},
		},
	})
}
