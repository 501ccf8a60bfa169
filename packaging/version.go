package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// first is the release that is being worked on while there is no tag.
const first = "0.1.0"

var (
	tagged   = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.]+)?$`)
	since    = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)-(\d+)-(g[0-9a-f]+)$`)
	untagged = regexp.MustCompile(`^[0-9a-f]{7,40}$`)
)

// semver turns what git describe prints into a semantic version, of which later commits
// come after earlier tags and before later ones.
func semver(describe string) (string, error) {
	clean, dirty := strings.CutSuffix(describe, "-dirty")
	var version string
	var build []string
	switch {
	case since.MatchString(clean):
		m := since.FindStringSubmatch(clean)
		patch, err := strconv.Atoi(m[3])
		if err != nil {
			return "", fmt.Errorf("version %q: %w", describe, err)
		}
		version, build = fmt.Sprintf("%s.%s.%d-dev.%s", m[1], m[2], patch+1, m[4]), []string{m[5]}
	case tagged.MatchString(clean):
		version = strings.TrimPrefix(clean, "v")
	case untagged.MatchString(clean):
		version, build = first+"-dev", []string{"g" + clean}
	default:
		return "", fmt.Errorf("version %q is neither a tag like v0.1.0 nor what git describe --tags prints: pass -version", describe)
	}
	if dirty {
		build = append(build, "dirty")
	}
	if len(build) > 0 {
		version += "+" + strings.Join(build, ".")
	}
	return version, nil
}
