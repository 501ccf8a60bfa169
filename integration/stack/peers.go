package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// modulePath is how the folder of this module is recognised.
const modulePath = "module github.com/imagefit/imagefit/integration"

// Peers returns the folder that holds the programs of the named parts, or of
// those that containerd and the demo need: containerd, its shim, ctr, runc,
// registry and workload. It is IMAGEFIT_PEERS where that is set, else what
// peers/build.sh builds and keeps; the first build takes minutes and says so on
// stderr.
func Peers(ctx context.Context, parts ...string) (string, error) {
	if dir := os.Getenv("IMAGEFIT_PEERS"); dir != "" {
		return dir, nil
	}
	module, err := moduleDir()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(module, "peers", "build.sh"), parts...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build peers with %s: %w", cmd.Path, err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[len(lines)-1], nil
}

// moduleDir finds this module's folder from the working folder: tests run in it
// or below it, the demo beside it.
func moduleDir() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the integration module: %w", err)
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		for _, candidate := range []string{dir, filepath.Join(dir, "integration")} {
			found, err := isModule(candidate)
			if err != nil {
				return "", err
			}
			if found {
				return candidate, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the integration module: not in %s nor above it; run inside the repository or set IMAGEFIT_PEERS", wd)
		}
	}
}

func isModule(dir string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find the integration module: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(first) == modulePath, nil
}
