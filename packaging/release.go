package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// release is one release that is being made.
type release struct {
	source, out string
	programs    string // where those of this machine's platform are built already, or empty
	quick       bool   // compress little
	work        string // scratch, removed at the end
	version     string // semantic, without "v"
	epoch       time.Time
	kinds       map[string]bool
	platforms   map[string]bool
	inImage     map[string]bool
	made        []string // names in out
}

// The kinds of things that are made.
const (
	kindArchive = "archive"
	kindDeb     = "deb"
	kindRPM     = "rpm"
	kindImage   = "image" // and the chart, which has its digest
)

func allKinds() []string { return []string{kindArchive, kindDeb, kindRPM, kindImage} }

// newRelease finds out the version and the time that files carry.
func newRelease(ctx context.Context, source, out, describe string) (*release, error) {
	r := &release{}
	var err error
	if r.source, err = filepath.Abs(source); err != nil {
		return nil, err
	}
	if r.out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	if describe == "" {
		if describe, err = r.output(ctx, nil, "git", "describe", "--tags", "--always", "--dirty"); err != nil {
			return nil, fmt.Errorf("find out the version (or pass -version): %w", err)
		}
	}
	if r.version, err = semver(describe); err != nil {
		return nil, err
	}
	if r.epoch, err = r.sourceDate(ctx); err != nil {
		return nil, err
	}
	if err := checkChangelog(filepath.Join(r.source, "CHANGELOG.md"), r.version); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty: remove what is in it, or choose another folder with -out", r.out)
	}
	r.work, err = os.MkdirTemp("", "imagefit-release-")
	return r, err
}

// sourceDate is SOURCE_DATE_EPOCH, or else the time of the commit.
func (r *release) sourceDate(ctx context.Context) (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		var err error
		if text, err = r.output(ctx, nil, "git", "log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, fmt.Errorf("find out the time of the commit (or set SOURCE_DATE_EPOCH): %w", err)
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is not a number of seconds: %w", text, err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// checkChangelog wants a section for each version that is released.
func checkChangelog(path, version string) error {
	if strings.ContainsAny(version, "-+") {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), "\n## ["+version+"]") {
		return fmt.Errorf("%s has no section [%s]: move what is released there from [Unreleased]", path, version)
	}
	return nil
}

func (r *release) clean() { _ = os.RemoveAll(r.work) }

// make makes everything that was chosen.
func (r *release) make(ctx context.Context) error {
	if err := r.writeDocuments(ctx); err != nil {
		return err
	}
	steps := map[string]func(context.Context, target) error{kindArchive: r.archive, kindDeb: r.pack, kindRPM: r.pack}
	for _, t := range targets() {
		if !r.platforms[t.platform()] {
			continue
		}
		if r.kinds[kindArchive] || r.kinds[kindDeb] || r.kinds[kindRPM] {
			if err := r.build(ctx, t); err != nil {
				return err
			}
		}
		for _, kind := range []string{kindArchive, kindDeb, kindRPM} {
			t.kind = kind
			if !r.kinds[kind] || kind != kindArchive && !t.forNodes() {
				continue
			}
			if err := steps[kind](ctx, t); err != nil {
				return fmt.Errorf("make %s for %s: %w", kind, t.platform(), err)
			}
		}
	}
	if r.kinds[kindImage] {
		digest, err := r.image(ctx)
		if err != nil {
			return fmt.Errorf("make the image: %w", err)
		}
		if err := r.chart(digest); err != nil {
			return fmt.Errorf("make the chart: %w", err)
		}
	}
	return r.writeSums()
}

// output runs a command in the repository and returns what it prints.
func (r *release) output(ctx context.Context, environment []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.source
	cmd.Env = append(os.Environ(), environment...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}
