// Package cluster holds the tests of imagefit-controller on a real Kubernetes control
// plane. README.md of the module says what is proven where.
package cluster

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// shared is the control plane of all tests: it starts with the first, and ends with the
// last.
type shared struct {
	once  sync.Once
	plane *stack.ControlPlane
	err   error
}

var control shared

func TestMain(m *testing.M) {
	flag.Parse()
	if stack.Usable() == nil && !testing.Short() {
		dir, err := stack.Peers(context.Background(), "workload", "cluster")
		if err == nil {
			err = os.Setenv("IMAGEFIT_PEERS", dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if control.plane != nil {
		if err := control.plane.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// requirePlane starts the control plane, or skips the test where none can run.
func requirePlane(t testing.TB) *stack.ControlPlane {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no control plane")
	}
	if err := stack.Usable(); err != nil {
		if os.Getenv("IMAGEFIT_REQUIRE_STACK") == "1" {
			t.Fatalf("IMAGEFIT_REQUIRE_STACK=1, but the stack %v", err)
		}
		t.Skipf("the stack %v", err)
	}
	control.once.Do(func() {
		if control.plane, control.err = stack.StartControlPlane(context.Background()); control.err == nil {
			control.err = install(control.plane)
		}
	})
	if control.err != nil {
		t.Fatal(control.err)
	}
	return control.plane
}
