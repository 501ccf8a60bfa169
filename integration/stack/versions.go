package stack

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// The versions of containerd that there are, as peers/*/go.mod pin them. Each sorts
// before the next one as text.
const (
	Containerd17 = "1.7.35"
	Containerd20 = "2.0.14"
	Containerd21 = "2.1.9"
	Containerd22 = "2.2.9"
	Containerd23 = "2.3.7"
	Containerd24 = "2.4.2"
)

// onRequestEnv names versions to test on besides the usual ones: "all", or some of
// them as in "2.0,2.3".
const onRequestEnv = "IMAGEFIT_CONTAINERD"

// Versions are all versions of containerd to test on: the default first, the oldest,
// and those that were requested.
func Versions() []string {
	requested, _ := OnRequest() // an error ends the run before the first test
	return append([]string{Containerd24, Containerd17}, requested...)
}

// OnRequest are the versions that IMAGEFIT_CONTAINERD names, none if it is not set.
func OnRequest() ([]string, error) {
	all := []string{Containerd20, Containerd21, Containerd22, Containerd23}
	switch value := os.Getenv(onRequestEnv); value {
	case "":
		return nil, nil
	case "all":
		return all, nil
	default:
		var versions []string
		for name := range strings.SplitSeq(value, ",") {
			i := slices.IndexFunc(all, func(version string) bool { return minor(version) == strings.TrimSpace(name) })
			if i < 0 {
				return nil, fmt.Errorf("%s=%s: %q is not a version to request; write all, or some of 2.0,2.1,2.2,2.3", onRequestEnv, value, name)
			}
			versions = append(versions, all[i])
		}
		return versions, nil
	}
}

// minor is the version without the patch release.
func minor(version string) string { return version[:strings.LastIndex(version, ".")] }

// Part is the part of peers/build.sh that builds a version. Of all but the default it
// is also the folder, among the other peers, that holds the version's programs.
func Part(version string) string {
	if version == Containerd24 {
		return "containerd"
	}
	return "containerd" + strings.ReplaceAll(minor(version), ".", "")
}
