package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// target is a platform that programs are built for.
type target struct {
	os, arch string
	level    string   // GOAMD64, where it is not the least
	programs []string // in cmd/
	kind     string   // what is made of it
}

// platform is its name, as OCI writes it.
func (t target) platform() string {
	if t.level != "" {
		return t.os + "/" + t.arch + "/" + t.level
	}
	return t.os + "/" + t.arch
}

func (t target) environment() []string {
	env := []string{"CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS=" + t.os, "GOARCH=" + t.arch, "GOAMD64=v1", "GOARM64=v8.0"}
	if t.level != "" {
		env = append(env, "GOAMD64="+t.level)
	}
	return env
}

// targets are the platforms of archives and packages: those of nodes, and those where people have
// the tool alone.
func targets() []target {
	node, tool := []string{"cri-proxy", "nri-plugin", "imagefit"}, []string{"imagefit"}
	return []target{
		{os: "linux", arch: "amd64", programs: node},
		{os: "linux", arch: "arm64", programs: node},
		{os: "darwin", arch: "amd64", programs: tool},
		{os: "darwin", arch: "arm64", programs: tool},
	}
}

// forNodes tells whether units and packages are made of it.
func (t target) forNodes() bool { return t.os == "linux" }

// file is how a program is called there.
func (t target) file(program string) string {
	if t.os == "windows" {
		return program + ".exe"
	}
	return program
}

func allPlatforms() []string {
	var all []string
	for _, t := range slices.Concat(targets(), variants()) {
		if !slices.Contains(all, t.platform()) {
			all = append(all, t.platform())
		}
	}
	return all
}

// program is where a program of a target is built.
func (r *release) program(t target, name string) string {
	return filepath.Join(r.work, "bin", strings.ReplaceAll(t.platform(), "/", "_"), t.file(name))
}

// build builds the programs of a target. Neither the folder of the sources nor the state of the
// repository goes into them.
func (r *release) build(ctx context.Context, t target) error {
	if r.programs != "" && t.platform() == runtime.GOOS+"/"+runtime.GOARCH {
		return r.take(t)
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace", "-ldflags=-s -w -X main.version=v" + r.version,
		"-o", filepath.Dir(r.program(t, "imagefit")) + string(filepath.Separator)}
	missing := false
	for _, name := range t.programs {
		if _, err := os.Stat(r.program(t, name)); err != nil {
			args, missing = append(args, "./cmd/"+name), true
		}
	}
	if !missing {
		return nil
	}
	if _, err := r.output(ctx, t.environment(), "go", args...); err != nil {
		return fmt.Errorf("build for %s: %w", t.platform(), err)
	}
	return nil
}

// take takes programs that are built already.
func (r *release) take(t target) error {
	for _, name := range t.programs {
		content, err := os.ReadFile(filepath.Join(r.programs, name))
		if err != nil {
			return err
		}
		to := r.program(t, name)
		if err := errors.Join(writeFile(to, content), os.Chmod(to, 0o755)); err != nil {
			return err
		}
	}
	return nil
}

// writeDocuments writes manual pages and completions, which the tool itself prints.
func (r *release) writeDocuments(ctx context.Context) error {
	here := target{os: runtime.GOOS, arch: runtime.GOARCH, programs: []string{"imagefit"}}
	if err := r.build(ctx, here); err != nil {
		return err
	}
	tool := r.program(here, "imagefit")
	date := fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.epoch.Unix())
	if _, err := r.output(ctx, []string{date}, tool, "man", filepath.Join(r.work, "man")); err != nil {
		return err
	}
	for _, shell := range shells() {
		text, err := r.output(ctx, nil, tool, "completion", shell.name)
		if err != nil {
			return err
		}
		if err := writeFile(r.completion(shell.name), []byte(text+"\n")); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) completion(shell string) string { return filepath.Join(r.work, "completion", shell) }
