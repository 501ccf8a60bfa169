package containerd

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func amd64(variant string) ocispec.Platform {
	return ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: variant}
}

// TestWillUnpackAnswersAsContainerdWasMeasuredTo: the answers were measured on containerd 2.4.2 and 1.7.35, see
// TestRuntimeUnpacks in integration; the versions between are from their source.
func TestWillUnpackAnswersAsContainerdWasMeasuredTo(t *testing.T) {
	t.Parallel()
	const all, first = "v1 v2 v3 v4", "v1"
	kata := map[string]string{"kata": "devmapper", "runc": "overlayfs"}
	v4 := []Unpack{{"linux/amd64/v4", "overlayfs"}}
	tests := []struct {
		name, version string
		change        func(*Settings)
		want          string
	}{
		{"defaults", "2.4.2", func(*Settings) {}, all},
		{"version unknown", "", func(s *Settings) { s.CheckPlatform = true }, first},
		{"check", "v2.4.2+unknown", func(s *Settings) { s.CheckPlatform = true }, first},
		{"check, before 2.2 a container unpacks all", "2.1.9", func(s *Settings) { s.CheckPlatform = true }, all},
		{"check, not in 1.7", "1.7.35", func(s *Settings) { s.CheckPlatform = true }, all},
		{"check, past the transfer service", "2.4.2", func(s *Settings) { s.CheckPlatform, s.LocalPull = true, true }, all},
		{"check, up to v4", "2.4.2", func(s *Settings) { s.CheckPlatform, s.Unpack = true, v4 }, all},
		{"check, up to v2", "2.4.2", func(s *Settings) {
			s.CheckPlatform, s.Unpack = true, []Unpack{{"linux/amd64/v2", "overlayfs"}}
		}, "v1 v2"},
		{"check, the first entry counts", "2.4.2", func(s *Settings) {
			s.CheckPlatform, s.Unpack = true, []Unpack{{"linux/amd64", "overlayfs"}, v4[0]}
		}, first},
		{"check, the first entry for this machine", "2.4.2", func(s *Settings) {
			s.CheckPlatform, s.Unpack = true, []Unpack{{"nonsense//", "overlayfs"}, {"linux/arm64", "overlayfs"}, v4[0]}
		}, all},
		{"check, of another snapshotter", "2.4.2", func(s *Settings) {
			s.CheckPlatform, s.Unpack = true, []Unpack{{"linux/amd64/v4", "native"}}
		}, first},
		{"check, of no snapshotter", "2.4.2", func(s *Settings) { s.CheckPlatform, s.Unpack = true, []Unpack{} }, first},
		{"handler with another snapshotter", "2.4.2", func(s *Settings) { s.RuntimeSnapshotters = kata }, first},
		{"handler, pulled past the transfer service", "2.4.2", func(s *Settings) { s.LocalPull, s.RuntimeSnapshotters = true, kata }, first},
		{"handler, before 2.2", "2.1.9", func(s *Settings) { s.RuntimeSnapshotters = kata }, all},
		{"handler, 2.2", "2.2.9", func(s *Settings) { s.RuntimeSnapshotters = kata }, first},
		{"handler, 1.7", "1.7.35", func(s *Settings) { s.RuntimeSnapshotters = kata }, all},
		{"handler of pulls alone", "2.4.2", func(s *Settings) { s.PullSnapshotters = kata }, first},
		{"handlers with the same snapshotter", "2.4.2", func(s *Settings) { s.RuntimeSnapshotters = map[string]string{"runc": "overlayfs"} }, all},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := defaults()
			s.Version = tt.version
			tt.change(&s)
			var got []string
			for _, variant := range strings.Fields(all) {
				if s.willUnpack(amd64(variant), amd64("")) {
					got = append(got, variant)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("unpacks %v, want %s", got, tt.want)
			}
		})
	}
}

func TestVerifiersAreThoseThatContainerdRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"b", "a", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own := t.TempDir()
	for _, name := range []string{"signed", "imagefit-verify"} { // as documented
		if err := os.WriteFile(filepath.Join(own, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name     string
		settings Settings
		want     []string
		err      string
	}{
		{"all", Settings{VerifierDir: dir, MaxVerifiers: 10}, []string{"a", "b", "c"}, ""},
		{"without our own", Settings{VerifierDir: own, MaxVerifiers: 10}, []string{"signed"}, ""},
		{"no bound", Settings{VerifierDir: dir, MaxVerifiers: -1}, []string{"a", "b", "c"}, ""},
		{"the first", Settings{VerifierDir: dir, MaxVerifiers: 1}, []string{"a"}, ""},
		{"bounded to none", Settings{VerifierDir: dir}, []string{}, ""},
		{"pulls past them", Settings{VerifierDir: dir, MaxVerifiers: 10, LocalPull: true}, nil, ""},
		{"a containerd without", Settings{VerifierDir: dir, MaxVerifiers: 10, Version: "2.0.9"}, nil, ""},
		{"the first containerd with", Settings{VerifierDir: dir, MaxVerifiers: 10, Version: "2.1.0"}, []string{"a", "b", "c"}, ""},
		{"switched off", Settings{MaxVerifiers: 10}, nil, ""},
		{"no folder", Settings{VerifierDir: filepath.Join(dir, "none"), MaxVerifiers: 10}, nil, ""},
		{"not a folder", Settings{VerifierDir: filepath.Join(dir, "a"), MaxVerifiers: 10}, nil, "list image verifiers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.settings.Verifiers()
			if !reflect.DeepEqual(got, tt.want) || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v; want %q, error %q", got, err, tt.want, tt.err)
			}
		})
	}
}

// TestVerifiersAreReadAtEachCall: containerd reads the directory at each pull, and so does Verifiers,
// though not at more than a thousand of them.
func TestVerifiersAreReadAtEachCall(t *testing.T) {
	t.Parallel()
	s := Settings{VerifierDir: t.TempDir(), MaxVerifiers: -1}
	count := func() int {
		names, err := s.Verifiers()
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before := count()
	for i := range maxEntries + 1 {
		if err := os.WriteFile(filepath.Join(s.VerifierDir, strconv.Itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if after := count(); before != 0 || after != maxEntries {
		t.Errorf("%d verifiers in an empty folder and %d in a full one", before, after)
	}
}

func TestWarningsNameWhatLimitsImagefit(t *testing.T) {
	t.Parallel()
	kata := map[string]string{"kata": "devmapper", "gvisor": "native", "runc": "overlayfs"}
	tests := []struct {
		name     string
		settings Settings
		want     []string // a part of each
	}{
		{"none", Settings{}, nil},
		{"cri-o", Settings{Name: "cri-o", CheckPlatform: true}, nil},
		{"inline", Settings{Name: "containerd", InlineRegistry: []string{"mirrors", "auths"}}, nil},
		{"check", Settings{CheckPlatform: true, Unpack: []Unpack{{"linux/amd64/v2", "overlayfs"}, {"linux/arm64", "native"}}}, []string{"only what matches linux/amd64/v2 ("}},
		{"check by default", Settings{CheckPlatform: true}, []string{"only what matches linux/"}},
		{"check, nothing to unpack", Settings{CheckPlatform: true, Unpack: []Unpack{}}, []string{"nothing for snapshotter overlayfs"}},
		{"check with all levels", Settings{CheckPlatform: true, Unpack: []Unpack{{platforms.Format(highestVariant(hostPlatform())), "overlayfs"}}}, nil},
		{"check without effect", Settings{CheckPlatform: true, LocalPull: true}, nil},
		{"handlers", Settings{RuntimeSnapshotters: kata}, []string{"other than overlayfs (gvisor: native, kata: devmapper)"}},
		{"handlers without effect", Settings{RuntimeSnapshotters: kata, Version: "1.7.35"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.settings.Snapshotter = "overlayfs"
			got := tt.settings.Warnings()
			if !slices.EqualFunc(got, tt.want, strings.Contains) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
