package soak

import (
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/imagefit/imagefit/integration/stack"
)

// The variables of a run: how long it is, what random numbers it begins with, where the report goes.
const (
	lengthEnv = "SOAK"
	seedEnv   = "SOAK_SEED"
	outEnv    = "SOAK_OUT"
	// requireEnv makes a missing stack a failure.
	requireEnv = "IMAGEFIT_REQUIRE_STACK"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestANodesLifeInFastMotion runs for SOAK=2m. It fails with each thing that does not hold; with
// SOAK_SEED everybody does the same again, though not at the same moments.
func TestANodesLifeInFastMotion(t *testing.T) {
	if err := stack.Usable(); err != nil {
		if os.Getenv(requireEnv) == "1" {
			t.Fatalf("%s=1, but the stack %v", requireEnv, err)
		}
		t.Skipf("the stack %v", err)
	}
	o := Options{Seed: uint64(time.Now().UnixNano()), Length: 2 * time.Minute, Out: os.Getenv(outEnv), Log: t.Logf}
	var err error
	if text := os.Getenv(lengthEnv); text != "" {
		if o.Length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", lengthEnv, err)
		}
	} else if testing.Short() {
		o.Length = 20 * time.Second
	}
	if text := os.Getenv(seedEnv); text != "" {
		if o.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
	}
	if o.Out == "" {
		o.Out = t.TempDir()
	}
	t.Logf("%s=%s %s=%d", lengthEnv, o.Length, seedEnv, o.Seed)
	violations, err := Run(t.Context(), o)
	if err != nil {
		t.Error(err)
	}
	for _, violation := range violations {
		t.Error(violation)
	}
	if text, err := os.ReadFile(o.Out + "/soak.txt"); err == nil {
		t.Logf("%s", text)
	}
}
