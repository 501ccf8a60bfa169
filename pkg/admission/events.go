package admission

import (
	"context"

	"github.com/containerd/nri/pkg/api"

	"github.com/imagefit/imagefit/pkg/version"
)

// validateSince is the first version of NRI with ValidateContainerAdjustment.
const validateSince = "0.10.0"

// Configure is NRI's hook at registration. It returns the events to subscribe to;
// none means all that the plugin handles. A runtime rejects a plugin that
// subscribes to an event it does not know, so on an older one the plugin
// subscribes to CreateContainer only.
func (p *Plugin) Configure(_ context.Context, _, runtime, runtimeVersion string) (api.EventMask, error) {
	number, ok := version.Parse(runtimeVersion) // distributions append their own to it
	if !ok {
		return 0, nil
	}
	nri, err := api.InferVersionFromRuntime(runtime, "v"+number.String())
	if err != nil {
		return 0, nil //nolint:nilerr // not one of the old runtimes
	}
	if order, ok := version.Compare(nri, validateSince); ok && order < 0 {
		p.Log.Info("the runtime has no hook to validate containers, using CreateContainer only", "nri", nri)
		var events api.EventMask
		events.Set(api.Event_CREATE_CONTAINER)
		return events, nil
	}
	return 0, nil
}
