package main

import (
	"path/filepath"

	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/criproxy"
	"github.com/imagefit/imagefit/pkg/daemon"
	"github.com/imagefit/imagefit/pkg/health"
	"github.com/imagefit/imagefit/pkg/names"
	"github.com/imagefit/imagefit/pkg/registry"
)

// namesOf returns what keeps the names of images: in the records of the runtime, where it
// has some, else in files. It follows the configuration and the runtime.
func namesOf(
	d *daemon.Daemon, backend criproxy.Runtime, store *images.Store, runtime *containerd.Runtime, reg *registry.Registry,
) *criproxy.Names {
	files := names.Files{Folder: filepath.Join(d.Config().StateDir, "names"), Log: d.Log}
	named := criproxy.NewNames(criproxy.NamesOptions{
		Runtime: backend, Records: store, Log: d.Log,
		Keeper:   names.NewKeeper(images.Names{Store: store}, files),
		ByProxy:  d.KeepsNames(runtime, reg),
		Untags:   func() bool { return !runtime.Settings().IsContainerd() },
		FullName: d.FullName(runtime), IsPinned: d.IsPinned(runtime),
	})
	d.OnReload(func(config.Config) { named.Reconsider() })
	changed := runtime.Changed
	runtime.Changed = func(s containerd.Settings) {
		changed(s)
		named.Reconsider()
	}
	return named
}

func statusOf(n *criproxy.Names) *health.NamesStatus {
	keeper, why := n.KeptBy()
	return &health.NamesStatus{Keeper: keeper, Reason: why, Kept: n.Keeper.Len()}
}
