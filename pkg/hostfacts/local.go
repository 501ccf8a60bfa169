package hostfacts

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/imagefit/imagefit/pkg/facts"
)

const (
	// featuresDir is where NFD takes features from that others found.
	featuresDir     = "etc/kubernetes/node-feature-discovery/features.d"
	maxFeaturesFile = 64 << 10
)

func localCollector() collector {
	return collector{collect: collectLocal, sets: []facts.Set{
		{
			Name: "local.label", NFD: true, Origin: "/etc/kubernetes/node-feature-discovery/features.d",
			From:     "NFD's `features.d`",
			Elements: "* (the labels of feature files, see below)",
		},
		{
			Name: "local.feature", NFD: true, Origin: "/etc/kubernetes/node-feature-discovery/features.d",
			From:     "NFD's `features.d`",
			Elements: "* (the features of feature files, see below)",
		},
	}}
}

// collectLocal reads NFD's feature files in the order of their names; what a
// later one says counts. When one cannot be read, what the others say is known
// and the rest unknown.
func collectLocal(h host, out *facts.Features) error {
	names, err := readDirIn(h.root, "etc", featuresDir)
	if err != nil {
		return err
	}
	labels, features := map[string]string{}, map[string]string{}
	out.Attributes["local.label"], out.Attributes["local.feature"] = labels, features
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue // being written, or the works of a Kubernetes volume
		}
		file := featuresDir + "/" + name
		data, err := readFeatures(h.root, file)
		if err != nil {
			out.Problems = append(out.Problems, causeOf(err))
			out.Unknown["local.label"], out.Unknown["local.feature"] = causeOf(err), causeOf(err)
			continue
		}
		found := parseFeatures(data, h.now)
		maps.Copy(labels, found.labels)
		maps.Copy(features, found.features)
		for _, problem := range found.problems {
			out.Problems = append(out.Problems, h.root.display(file)+": "+problem)
		}
		for key := range found.labels {
			out.Origins["local.label/"+key] = "/" + file
		}
		for key := range found.features {
			out.Origins["local.feature/"+key] = "/" + file
		}
	}
	return nil
}

// readFeatures returns nothing for a directory, which NFD passes over.
func readFeatures(root Root, name string) ([]byte, error) {
	data, err := root.ReadHead(name, maxFeaturesFile+1)
	if err != nil {
		if _, dirErr := root.ReadDir(name); dirErr == nil {
			return nil, nil
		}
		return nil, err
	}
	if len(data) > maxFeaturesFile {
		return nil, root.pathError("read", name, fmt.Errorf("larger than %d bytes", maxFeaturesFile))
	}
	return data, nil
}

// featureFile is what one feature file says.
type featureFile struct {
	labels, features map[string]string
	problems         []string
}

// featureParser holds what the directives so far say of the lines to come.
type featureParser struct {
	featureFile
	now                time.Time
	expiry             time.Time
	noLabel, noFeature bool
}

// parseFeatures reads lines of "key" or "key=value". The comment
// "# +expiry-time=" ends what follows at that time; "# +no-label" and
// "# +no-feature" are for the next line alone.
func parseFeatures(data []byte, now time.Time) featureFile {
	p := featureParser{now: now, expiry: now}
	p.labels, p.features = map[string]string{}, map[string]string{}
	row := 0
	for line := range bytes.Lines(data) {
		row++
		text := strings.TrimSpace(string(line))
		var err error
		switch directive, isDirective := strings.CutPrefix(text, "# +"); {
		case isDirective:
			err = p.direct(directive)
		case text == "" || strings.HasPrefix(text, "#"):
		default:
			err = p.take(text)
		}
		if err != nil {
			p.problems = append(p.problems, fmt.Sprintf("row %d: %v", row, err))
		}
	}
	return p.featureFile
}

func (p *featureParser) direct(directive string) error {
	key, value, _ := strings.Cut(directive, "=")
	switch key {
	case "no-label":
		p.noLabel = true
	case "no-feature":
		p.noFeature = true
	case "expiry-time":
		expiry, err := time.Parse(time.RFC3339, strings.TrimSpace(value))
		if err != nil {
			return fmt.Errorf("expiry-time %.64q is no time such as 2027-01-31T12:00:00Z", strings.TrimSpace(value))
		}
		p.expiry = expiry
	default:
		return fmt.Errorf("directive %.64q is not known", key)
	}
	return nil
}

func (p *featureParser) take(line string) error {
	if p.expiry.Before(p.now) {
		return nil
	}
	key, value, hasValue := strings.Cut(line, "=")
	if key == "" {
		return fmt.Errorf("%.64q has no key before the =", line)
	}
	if !hasValue {
		value = "true"
	}
	keep := func(where map[string]string, not bool) {
		if not {
			delete(where, key)
			return
		}
		where[key] = value
	}
	keep(p.features, p.noFeature)
	keep(p.labels, p.noLabel)
	p.noFeature, p.noLabel = false, false
	return nil
}
