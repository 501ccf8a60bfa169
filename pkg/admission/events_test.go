package admission

import (
	"log/slog"
	"testing"

	"github.com/containerd/nri/pkg/api"
)

func TestConfigureSubscribesToWhatTheRuntimeKnows(t *testing.T) {
	t.Parallel()
	var all api.EventMask // for the stub, all that the plugin handles
	var createOnly api.EventMask
	createOnly.Set(api.Event_CREATE_CONTAINER)
	tests := []struct {
		runtime, version string
		want             api.EventMask
	}{
		{"containerd", "v1.7.35", createOnly},
		{"containerd", "1.7.35", createOnly},
		{"containerd", "v2.0.5", createOnly},
		{"containerd", "v2.1.4", createOnly},
		{"containerd", "v2.2.0", all},
		{"containerd", "v2.4.2", all},
		{"containerd", "2.4.2+unknown", all},
		{"containerd", "v2.4.2-5-gdeadbeef.m", all},
		{"containerd", "v3.0.0", all},
		{"containerd", "1.7.24~ds1", createOnly},
		{"containerd", "", all},
		{"containerd", "unknown", all},
		{"cri-o", "1.33.0", createOnly},
		{"cri-o", "1.34.0", all},
		{"other", "v0.0.1", all},
	}
	p := newTestPlugin(newKnownImages(t), policyWith(nil), slog.New(slog.DiscardHandler))
	for _, test := range tests {
		t.Run(test.runtime+" "+test.version, func(t *testing.T) {
			t.Parallel()
			got, err := p.Configure(t.Context(), "", test.runtime, test.version)
			if err != nil || got != test.want {
				t.Errorf("Configure = %v, %v, want %v", got.PrettyString(), err, test.want.PrettyString())
			}
		})
	}
}
