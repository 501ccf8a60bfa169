package hostfacts

import (
	"context"
	"encoding/json"
	"github.com/imagefit/imagefit/pkg/facts"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// isBeyondNFD tells the sets that NFD does not have.
func isBeyondNFD(set string) bool {
	set, _, _ = strings.Cut(set, "/")
	return strings.HasPrefix(set, "gpu.") || strings.HasPrefix(set, "rdma.") || strings.HasPrefix(set, "mpi.") ||
		slices.Contains([]string{
			"libfabric.installation", "kernel.cmdline", "kernel.sysctl",
			"system.libc", "system.cgroup", "system.virtualization",
		}, set)
}

// node returns a root with the files of testdata/nodes/NAME.txt, where each
// begins with "-- PATH --". They are no directories, because the addresses of
// PCI devices have colons, which file names in a Go module must not have.
func node(t testing.TB, name string) Root {
	t.Helper()
	return hostIn(t, filepath.Join("testdata", "nodes", name+".txt"))
}

func beyondNFD(root Root) facts.Features {
	features := Collect(context.Background(), root).Features()
	maps.DeleteFunc(features.Flags, func(set string, _ []string) bool { return !isBeyondNFD(set) })
	maps.DeleteFunc(features.Attributes, func(set string, _ map[string]string) bool { return !isBeyondNFD(set) })
	maps.DeleteFunc(features.Instances, func(set string, _ []map[string]string) bool { return !isBeyondNFD(set) })
	maps.DeleteFunc(features.Unknown, func(set, _ string) bool { return !isBeyondNFD(set) })
	return features
}

func TestNodesGolden(t *testing.T) {
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
			checkGolden(t, filepath.Join("testdata", "nodes", name+".json"), append(got, '\n'))
			if strings.Contains(string(got), "GPU-0000") || strings.Contains(string(got), "0123-4567") {
				t.Error("a UUID is among the facts")
			}
		})
	}
}

// TestEverySetOfACollectorIsKnownOrNot: no collector forgets a set it names.
func TestEverySetOfACollectorIsKnownOrNot(t *testing.T) {
	t.Parallel()
	list := slices.Concat(gpuCollectors(), rdmaCollectors(), libraryCollectors(), sysctlCollectors(), platformCollectors())
	for name, root := range map[string]Root{"node": node(t, "nvidia-h100"), "empty": tree(t, nil)} {
		known := collectWith(context.Background(), root, list)
		for _, c := range list {
			for _, set := range c.sets {
				_, list := known.Instances(set)
				element := known.Lookup(set, "no such element")
				if list.State == facts.Unknown && strings.HasPrefix(list.Cause, "no collector") && strings.HasPrefix(element.Cause, "no collector") {
					t.Errorf("%s: nobody collects %s", name, set)
				}
			}
		}
	}
}
