package nodeclass_test

import (
	"reflect"
	"testing"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// TestDevicesThatAreAskedOneByOneCount: without them a class would not answer as its
// nodes do.
func TestDevicesThatAreAskedOneByOneCount(t *testing.T) {
	t.Parallel()
	got := nodeclass.Asked([]compat.Requirement{{Combine: compat.AnyOf, Each: &compat.Each{
		Devices: "x.device", Element: "vendor", Value: "a", Set: "x", Elements: []string{"brand"},
	}}})
	if want := (nodeclass.Dimensions{"x.device": {"brand", "vendor"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
