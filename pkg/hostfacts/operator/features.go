package operator

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/imagefit/imagefit/pkg/facts"
)

const (
	// FeaturesDir is where NFD reads features that others found.
	FeaturesDir    = "etc/kubernetes/node-feature-discovery/features.d"
	maxFeatureFile = 64 << 10
)

// AddFeatures reads the named feature files of NFD into local.label and
// local.feature; a later one overrides an earlier one. When one cannot be read,
// the elements of the others are known and the rest unknown.
func AddFeatures(files Files, names []string, now time.Time, out *facts.Features) {
	labels, features := map[string]string{}, map[string]string{}
	out.Attributes["local.label"], out.Attributes["local.feature"] = labels, features
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue // being written, or an internal name of a Kubernetes volume
		}
		name = FeaturesDir + "/" + name
		data, err := files.ReadBounded(name, maxFeatureFile)
		if err != nil {
			if _, dirErr := files.ReadDir(name); dirErr == nil {
				continue // NFD skips directories
			}
			cause := facts.CauseOf(err)
			out.Problems = append(out.Problems, cause)
			out.Unknown["local.label"], out.Unknown["local.feature"] = cause, cause
			continue
		}
		found := parseFeatures(data, now)
		maps.Copy(labels, found.labels)
		maps.Copy(features, found.features)
		for _, problem := range found.problems {
			out.Problems = append(out.Problems, files.Path(name)+": "+problem)
		}
		for key := range found.labels {
			out.Origins["local.label/"+key] = "/" + name
		}
		for key := range found.features {
			out.Origins["local.feature/"+key] = "/" + name
		}
	}
}

// featureFile is the content of one feature file.
type featureFile struct {
	labels, features map[string]string
	problems         []string
}

// featureParser keeps the directives for the lines that follow.
type featureParser struct {
	featureFile
	now                time.Time
	expiry             time.Time
	noLabel, noFeature bool
}

// parseFeatures reads lines of "key" or "key=value". The comment
// "# +expiry-time=" makes what follows expire at that time; "# +no-label" and
// "# +no-feature" apply to the next line alone.
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
			err = p.directive(directive)
		case text == "" || strings.HasPrefix(text, "#"):
		default:
			err = p.line(text)
		}
		if err != nil {
			p.problems = append(p.problems, fmt.Sprintf("row %d: %v", row, err))
		}
	}
	return p.featureFile
}

func (p *featureParser) directive(text string) error {
	key, value, _ := strings.Cut(text, "=")
	switch key {
	case "no-label":
		p.noLabel = true
	case "no-feature":
		p.noFeature = true
	case "expiry-time":
		expiry, err := time.Parse(time.RFC3339, strings.TrimSpace(value))
		if err != nil {
			return fmt.Errorf("expiry-time %.64q is not an RFC 3339 time such as 2027-01-31T12:00:00Z", strings.TrimSpace(value))
		}
		p.expiry = expiry
	default:
		return fmt.Errorf("unknown directive %.64q", key)
	}
	return nil
}

func (p *featureParser) line(line string) error {
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
	p.features[key], p.labels[key] = value, value
	if p.noFeature {
		delete(p.features, key)
	}
	if p.noLabel {
		delete(p.labels, key)
	}
	p.noFeature, p.noLabel = false, false
	return nil
}
