package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/names"
)

// imageNames hands the names of the images on this node back to its runtime.
type imageNames struct {
	load func() (config.Config, error)
	log  *slog.Logger
}

// HandBack implements install.Images.
func (n imageNames) HandBack(ctx context.Context, dryRun bool) (note string, err error) {
	cfg, err := n.load()
	if err != nil {
		return "", err
	}
	store, done, err := runtimeNames(cfg)
	if err != nil {
		return "", err
	}
	defer done()
	mirror := n.mirror(cfg)
	given, left, err := store.HandBack(ctx, mirror != "", dryRun)
	if errors.Is(err, names.ErrUnsupported) { // CRI-O: no name can be given to it
		left, err = namesInFiles(ctx, cfg, n.log)
	}
	return handBackNote(given, left, mirror), err
}

// Forget implements install.Images.
func (n imageNames) Forget(ctx context.Context) error {
	cfg, err := n.load()
	if err != nil {
		return err
	}
	store, done, err := runtimeNames(cfg)
	if err != nil {
		return err
	}
	defer done()
	if err := store.Forget(ctx); !errors.Is(err, names.ErrUnsupported) {
		return err
	}
	return nil
}

// mirror is a registry's mirror on this node, which may serve its image records to others.
func (n imageNames) mirror(cfg config.Config) string {
	reg, _ := openRegistry(cfg, n.log, &trace{})
	defer reg.Close()
	mirror, _ := reg.LocalMirror()
	return mirror
}

func runtimeNames(cfg config.Config) (store images.Names, done func(), err error) {
	backend, err := cri.NewSplitBackend(cfg.Runtime.Endpoint, cfg.Runtime.ImageEndpoint)
	if err != nil {
		return store, nil, err
	}
	return images.Names{Store: images.New(backend, cfg.Runtime.Namespace)}, func() { _ = backend.Close() }, nil
}

// namesInFiles are the names that cri-proxy keeps where the runtime has no records.
func namesInFiles(ctx context.Context, cfg config.Config, log *slog.Logger) (all []string, err error) {
	kept, err := names.Files{Folder: filepath.Join(cfg.StateDir, "names"), Log: log}.Load(ctx)
	for _, name := range kept {
		if name.Index != "" && !name.Implied {
			all = append(all, name.Reference)
		}
	}
	return all, err
}

// shownNames is how many names a note lists.
const shownNames = 10

func handBackNote(given, left []string, mirror string) string {
	var parts []string
	if len(given) > 0 {
		parts = append(parts, fmt.Sprintf("%d names of images that cri-proxy kept are the runtime's", len(given)))
	}
	if len(left) > 0 {
		why := "the runtime cannot keep them"
		if mirror != "" {
			why = "the mirror " + mirror + " may serve the runtime's records to other nodes"
		}
		list := strings.Join(left[:min(len(left), shownNames)], ", ")
		if more := len(left) - shownNames; more > 0 {
			list += fmt.Sprintf(" and %d more", more)
		}
		parts = append(parts, fmt.Sprintf("%d names of images go with cri-proxy (%s), and the kubelet pulls them again when a container starts: %s", len(left), why, list))
	}
	return strings.Join(parts, "; ")
}
