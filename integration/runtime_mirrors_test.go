package integration

import (
	"fmt"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestMirrorsOfContainerd17AreAskedInPlaceOfTheRegistry: a node with registry.mirrors, whose registry is
// cut off, gets the variant that fits from its mirror.
func TestMirrorsOfContainerd17AreAskedInPlaceOfTheRegistry(t *testing.T) {
	registry := startRegistry(t)
	c := startRuntime(t, stack.Options{Version: stack.Containerd17, Mirrors: fmt.Sprintf(
		"\"192.0.2.1:5000\" = { endpoint = [%q] }", "http://"+registry.Host)})
	f := startFitWith(t, c, registry, flagsV3, stack.Settings{})
	f.push(t, "app", variants("amd64", "amd64/v3")...)
	ref := "192.0.2.1:5000/app:1" // of a network where nothing answers
	before := len(registry.Requests())
	f.wantRuns(t, ref, f.pull(t, ref), "amd64/v3")
	if len(registry.Requests()) == before {
		t.Error("the mirror was not asked")
	}
}
