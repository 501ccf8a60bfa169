package hostfacts

import (
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/operator"
)

// collectLocal reads NFD's feature files in the order of their names.
func collectLocal(h host, out *facts.Features) error {
	names, err := readDirIn(h.root, "etc", operator.FeaturesDir)
	if err == nil {
		operator.AddFeatures(h.root, names, h.now, out)
	}
	return err
}
