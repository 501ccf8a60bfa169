package containerd

import (
	"testing"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestMatchesIsWhatEachVersionLooksFor(t *testing.T) {
	t.Parallel()
	host := platforms.MustParse("linux/amd64")
	erofs := ocispec.Platform{OS: "linux", Architecture: "amd64", OSFeatures: []string{"erofs"}}
	tests := []struct {
		name     string
		settings Settings
		i386     bool
		features bool
	}{
		{"1.7", Settings{Version: "1.7.35"}, true, true},
		{"2.0", Settings{Version: "2.0.5"}, true, true},
		{"2.1", Settings{Version: "2.1.0"}, false, true},
		{"2.2 past the transfer service", Settings{Version: "2.2.1", LocalPull: true}, true, true},
		{"2.3", Settings{Version: "2.3.0"}, false, false},
		{"2.4 past the transfer service", Settings{Version: "2.4.2", LocalPull: true}, true, false},
		{"not told", Settings{}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := tt.settings.matches(host)
			for text, want := range map[string]bool{
				"linux/amd64": true, "linux/amd64/v1": true, "linux/amd64/v2": false, "linux/386": tt.i386, "linux/arm64": false, "windows/amd64": false,
			} {
				if got := m.Match(platforms.MustParse(text)); got != want {
					t.Errorf("%s: %t, want %t", text, got, want)
				}
			}
			if got := m.Match(erofs); got != tt.features {
				t.Errorf("os.features: %t, want %t", got, tt.features)
			}
			if tt.features && m.Less(erofs, host) {
				t.Error("os.features count in the order")
			}
		})
	}
}
