package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// What make release replaces in the chart.
const (
	noVersion = ": 0.0.0-dev\n"
	noDigest  = "\n  digest: \"\"\n"
)

// chart makes the archive of the Helm chart, with the version of the release and the digest of its
// image.
func (r *release) chart(image digest.Digest) error {
	dir := filepath.Join(r.source, "deploy", "helm", "imagefit")
	var all []file
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // of the checkout; links lead to what deploy has already
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch name {
		case "Chart.yaml":
			content, err = replaced(content, noVersion, fmt.Sprintf(": %q\n", r.version), 2)
		case "values.yaml":
			content, err = replaced(content, noDigest, fmt.Sprintf("\n  digest: %q\n", image), 1)
		}
		all = append(all, file{name: filepath.ToSlash(name), content: content, mode: 0o644})
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	var out bytes.Buffer
	if err := writeTar(&out, "imagefit", all, r.epoch, r.quick); err != nil {
		return err
	}
	return r.finish("imagefit-chart-"+r.version+".tgz", out.Bytes())
}

// replaced replaces a text that must be there a number of times.
func replaced(content []byte, before, after string, times int) ([]byte, error) {
	if got := strings.Count(string(content), before); got != times {
		return nil, fmt.Errorf("%q is there %d times, not %d", before, got, times)
	}
	return bytes.ReplaceAll(content, []byte(before), []byte(after)), nil
}
