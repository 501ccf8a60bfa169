package hostfacts

import (
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/operator"
)

func localCollector() collector {
	return collector{collect: collectLocal, sets: []facts.Set{
		{Name: "local.label", NFD: true, Origin: "/" + operator.FeaturesDir, From: "NFD's `features.d`",
			Elements: "* (the labels of feature files, see below)"},
		{Name: "local.feature", NFD: true, Origin: "/" + operator.FeaturesDir, From: "NFD's `features.d`",
			Elements: "* (the features of feature files, see below)"},
	}}
}

// collectLocal reads NFD's feature files in the order of their names.
func collectLocal(h host, out *facts.Features) error {
	names, err := readDirIn(h.root, "etc", operator.FeaturesDir)
	if err == nil {
		operator.AddFeatures(h.root, names, h.now, out)
	}
	return err
}
