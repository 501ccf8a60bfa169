package stack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ImageTools are the programs with which people make indexes, with a home of their
// own: no configuration or credential of whoever runs the tests reaches them.
type ImageTools struct {
	bin, home string
	registry  *Registry
}

// IndexTools are the names of the tools that make an index of images that are in
// a registry already.
func IndexTools() []string { return []string{"crane", "oras", "regctl"} }

// ImageTools are the tools for a registry; home is an empty folder.
func (r *Registry) ImageTools(ctx context.Context, home string) (*ImageTools, error) {
	bin, err := Peers(ctx, "imagetools")
	if err != nil {
		return nil, err
	}
	t := &ImageTools{bin: bin, home: home, registry: r}
	if err := t.run(ctx, "regctl", "registry", "set", r.Host, "--tls", "disabled"); err != nil {
		return nil, err
	}
	return t, nil
}

// Index makes an index of images with one of [IndexTools] and pushes it as TAG of
// the repository. The tool reads the images' platforms from their configs.
func (t *ImageTools) Index(ctx context.Context, tool string, repo *Repo, tag string, images ...string) error {
	var args []string
	switch tool {
	case "crane":
		args = []string{"index", "append", "--tag", repo.Ref(tag)}
		for _, image := range images {
			args = append(args, "--manifest", image)
		}
	case "oras":
		args = []string{"manifest", "index", "create", "--plain-http", repo.Ref(tag)}
		for _, image := range images {
			_, name, _ := strings.Cut(image, repo.name) // ":TAG" or "@DIGEST": of the same repository
			args = append(args, name[1:])
		}
	case "regctl":
		args = []string{"index", "create", repo.Ref(tag)}
		for _, image := range images {
			args = append(args, "--ref", image)
		}
	default:
		return fmt.Errorf("make an index with %s: it is not one of %v", tool, IndexTools())
	}
	return t.run(ctx, tool, args...)
}

// Artifact pushes a file as an artifact of a type with oras, as TAG of the repository.
func (t *ImageTools) Artifact(ctx context.Context, repo *Repo, tag, artifactType string) error {
	const name = "file.txt"
	if err := os.WriteFile(filepath.Join(t.home, name), []byte(tag), 0o600); err != nil {
		return err
	}
	return t.run(ctx, "oras", "push", "--plain-http", "--artifact-type", artifactType, repo.Ref(tag), name)
}

// Ko builds the workload for each platform on top of a base image and pushes the
// index as TAG of the repository.
func (t *ImageTools) Ko(ctx context.Context, repo *Repo, tag, base string, platforms ...string) error {
	module, err := moduleDir()
	if err != nil {
		return err
	}
	// A home of its own must not mean a module and build cache of its own.
	env, err := exec.CommandContext(ctx, "go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		return fmt.Errorf("find Go's caches for ko: %w", err)
	}
	build, modules, _ := strings.Cut(strings.TrimSpace(string(env)), "\n")
	return t.runIn(ctx, module, []string{
		"KO_DOCKER_REPO=" + strings.TrimSuffix(repo.Ref(""), ":"), "KO_DEFAULTBASEIMAGE=" + base,
		"GOCACHE=" + build, "GOMODCACHE=" + modules,
	}, "ko", "build", "--bare", "--tags", tag, "--sbom", "none", "--platform", strings.Join(platforms, ","), "./workload")
}

func (t *ImageTools) run(ctx context.Context, tool string, args ...string) error {
	return t.runIn(ctx, t.home, nil, tool, args...)
}

// runIn runs a tool in a folder; what it prints is part of the error.
func (t *ImageTools) runIn(ctx context.Context, dir string, env []string, tool string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(t.bin, tool), args...)
	cmd.Dir = dir
	cmd.Env = append(append(Environ(), "HOME="+t.home, "DOCKER_CONFIG="+t.home, "XDG_CONFIG_HOME="+t.home), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s %s: %w: %s", tool, strings.Join(args, " "), err, out.String())
	}
	return nil
}
