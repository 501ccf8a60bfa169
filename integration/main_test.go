package integration

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/imagefit/imagefit/integration/stack"
)

// requireEnv makes a missing stack a failure, for machines that must have one.
const requireEnv = "IMAGEFIT_REQUIRE_STACK"

func TestMain(m *testing.M) {
	flag.Parse() // for testing.Short
	if err := stack.Usable(); err != nil {
		fmt.Fprintf(os.Stderr, "\n*** LEFT OUT: every test on real containerd, because the stack %v. ***\n\n", err)
	} else if err := findPeers(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(exit))
}

// exit ends the run, as failed where a test has left something running.
func exit(code int) {
	left := append(stack.Abandoned(), stack.Children()...)
	for _, what := range left {
		fmt.Fprintln(os.Stderr, "left behind by a test:", what)
	}
	if code == 0 && len(left) > 0 {
		code = 1
	}
	os.Exit(code)
}

// findPeers builds the peers once, before any test's clock runs; with -short
// without the kubelet and containerd 1.7.
func findPeers() error {
	requested, err := stack.OnRequest()
	if err != nil {
		return err
	}
	parts := []string{"all"}
	if testing.Short() {
		parts = []string{"demo"}
	}
	for _, version := range requested {
		parts = append(parts, stack.Part(version))
	}
	dir, err := stack.Peers(context.Background(), parts...)
	if err != nil {
		return err
	}
	return os.Setenv("IMAGEFIT_PEERS", dir)
}

// requireStack skips a test where no containerd can run.
func requireStack(t testing.TB) {
	t.Helper()
	err := stack.Usable()
	switch {
	case err == nil:
	case os.Getenv(requireEnv) == "1":
		t.Fatalf("%s=1, but the stack %v", requireEnv, err)
	default:
		t.Skipf("the stack %v", err)
	}
}

// requested are the versions of containerd that are tested on request only.
func requested(t testing.TB) []string {
	t.Helper()
	versions, err := stack.OnRequest()
	if err != nil {
		t.Fatal(err)
	}
	return versions
}

// startContainerd starts a containerd that ends with the test, cleanly or the
// test fails.
func startContainerd(t testing.TB, opts stack.Options) *stack.Containerd {
	t.Helper()
	requireStack(t)
	containerd, err := stack.StartContainerd(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("containerd's log ends with\n%s", containerd.Process.Tail(25))
		}
		if err := containerd.Stop(); err != nil {
			t.Error(err)
		}
	})
	return containerd
}

// startRegistry starts a registry that ends with the test.
func startRegistry(t testing.TB) *stack.Registry {
	t.Helper()
	return started(t)(stack.NewRegistry())
}

// started takes what starting a registry returned; it ends with the test.
func started(t testing.TB) func(*stack.Registry, error) *stack.Registry {
	return func(registry *stack.Registry, err error) *stack.Registry {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := registry.Close(); err != nil {
				t.Error(err)
			}
		})
		return registry
	}
}
