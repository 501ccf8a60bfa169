package admission

import (
	"context"

	"github.com/containerd/nri/pkg/api"

	"github.com/imagefit/imagefit/pkg/version"
)

// validates is the version of NRI that came with ValidateContainerAdjustment.
const validates = "0.10.0"

// Configure is NRI's hook when the runtime takes the plugin in. It returns what
// to be asked about; nothing stands for all that the plugin handles. A runtime
// that does not know one of the hooks turns the plugin away, so an older one is
// asked for CreateContainer only.
func (p *Plugin) Configure(_ context.Context, _, runtime, runtimeVersion string) (api.EventMask, error) {
	number, ok := version.Parse(runtimeVersion) // distributions append their own to it
	if !ok {
		return 0, nil
	}
	nri, err := api.InferVersionFromRuntime(runtime, "v"+number.String())
	if err != nil {
		return 0, nil // not in the list of old runtimes
	}
	if order, ok := version.Compare(nri, validates); ok && order < 0 {
		p.Log.Info("the runtime does not validate containers, it asks before it creates one", "nri", nri)
		var events api.EventMask
		events.Set(api.Event_CREATE_CONTAINER)
		return events, nil
	}
	return 0, nil
}
