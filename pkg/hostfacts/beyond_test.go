package hostfacts

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/golden"
	"github.com/imagefit/imagefit/pkg/facts"
)

// node returns a root with the files of testdata/nodes/NAME.txt, where each
// begins with "-- PATH --". They are no directories, because the addresses of
// PCI devices have colons, which file names in a Go module must not have.
func node(t testing.TB, name string) Root {
	t.Helper()
	return hostIn(t, filepath.Join("testdata", "nodes", name+".txt"))
}

// beyondNFD returns the facts that NFD does not have, but for those of the CPU.
func beyondNFD(root Root) facts.Features {
	return Collect(context.Background(), root).Features().Only(func(name string) bool {
		return slices.ContainsFunc(Sets(), func(set facts.Set) bool {
			return set.Name == name && !set.NFD && set.Family() != "cpu"
		})
	})
}

func TestFactsBeyondNFDAreGolden(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"nvidia-h100", "amd-mi300x", "amd-mi250-mixed", "intel-max1550", "no-driver", "hpc-mpi",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := node(t, name)
			found := beyondNFD(root)
			for set, cause := range found.Unknown {
				found.Unknown[set] = strings.ReplaceAll(cause, root.Dir(), "")
			}
			got, err := json.MarshalIndent(map[string]any{
				"flags": found.Flags, "attributes": found.Attributes,
				"instances": found.Instances, "unknown": found.Unknown,
			}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Equal(t, filepath.Join("testdata", "nodes", name+".json"), string(got)+"\n")
			if strings.Contains(string(got), "GPU-0000") || strings.Contains(string(got), "0123-4567") {
				t.Error("a UUID is among the facts")
			}
		})
	}
}

func TestEveryDeclaredSetIsKnownOrUnknownWithACause(t *testing.T) {
	t.Parallel()
	for name, root := range map[string]Root{"node": node(t, "nvidia-h100"), "empty": tree(t, nil)} {
		known := Collect(context.Background(), root)
		for _, set := range Sets() {
			_, list := known.Instances(set.Name)
			element := known.Lookup(set.Name, "no such element")
			if list.State == facts.Unknown && strings.HasPrefix(list.Cause, "no collector") && strings.HasPrefix(element.Cause, "no collector") {
				t.Errorf("%s: %s is declared, and not collected", name, set.Name)
			}
		}
	}
}
