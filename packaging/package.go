package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers the format
)

// firstConfig is the configuration that a package installs: all defaults.
const firstConfig = `# imagefit. "imagefit config default" prints every key with its default and what it
# means; drop-ins go into conf.d beside this file.
version = 1
`

const description = `Choose and check images by what a node offers
cri-proxy lets each node pull the variant of an image that fits it best,
nri-plugin refuses containers whose image does not fit, and imagefit shows
what a node offers and what was decided.

Nothing runs until it is enabled.`

// pack makes a Debian or an RPM package.
func (r *release) pack(_ context.Context, t target) error {
	contents, err := r.contents(t)
	if err != nil {
		return err
	}
	scripts := filepath.Join(r.source, "packaging", "scripts")
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "imagefit", Arch: t.arch, Platform: t.os, Version: r.version, MTime: r.epoch, DisableGlobbing: true,
		Section: "admin", Priority: "optional", Maintainer: "imagefit authors <imagefit@users.noreply.github.com>",
		Vendor: "imagefit", Homepage: "https://github.com/imagefit/imagefit", License: "Apache-2.0", Description: description,
		Overridables: nfpm.Overridables{
			Recommends: []string{"ca-certificates"},
			Contents:   contents,
			Scripts: nfpm.Scripts{
				PostInstall: filepath.Join(scripts, "postinstall"),
				PreRemove:   filepath.Join(scripts, "preremove"),
				PostRemove:  filepath.Join(scripts, "postremove"),
			},
			RPM: nfpm.RPM{BuildHost: "imagefit"},
		},
	})
	if r.quick {
		info.Deb.Compression, info.RPM.Compression = "none", "gzip:1"
	}
	if err := nfpm.PrepareForPackager(info, t.kind); err != nil {
		return err
	}
	packager, err := nfpm.Get(t.kind)
	if err != nil {
		return err
	}
	name := packager.ConventionalFileName(info)
	var out bytes.Buffer
	if err := packager.Package(info, &out); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return r.finish(name, out.Bytes(), t)
}

// contents lays the files out below / in the work folder, and lists them with what is of the
// package alone: its configuration and its folders.
func (r *release) contents(t target) (files.Contents, error) {
	all, err := r.binaries(t)
	if err != nil {
		return nil, err
	}
	others, err := r.node("/usr")
	if err != nil {
		return nil, err
	}
	all = append(all, others...)
	var contents files.Contents
	for _, f := range all {
		if f.name == "share/doc/imagefit/LICENSE" {
			f.name = "share/doc/imagefit/copyright" // where Debian looks for it
		}
		source := filepath.Join(r.work, t.kind, t.arch, filepath.FromSlash(f.name))
		if err := writeFile(source, f.content); err != nil {
			return nil, err
		}
		contents = append(contents, &files.Content{
			Source: source, Destination: "/usr/" + f.name, FileInfo: &files.ContentFileInfo{Mode: f.mode, MTime: r.epoch},
		})
	}
	config := filepath.Join(r.work, t.kind, t.arch, "config.toml")
	if err := writeFile(config, []byte(firstConfig)); err != nil {
		return nil, err
	}
	contents = append(contents, &files.Content{
		Source: config, Destination: "/etc/imagefit/config.toml", Type: files.TypeConfigNoReplace,
		FileInfo: &files.ContentFileInfo{Mode: 0o644, MTime: r.epoch},
	})
	for _, dir := range []string{"/etc/imagefit", "/var/lib/imagefit", "/usr/share/doc/imagefit", "/usr/share/doc/imagefit/images.d"} {
		contents = append(contents, &files.Content{
			Destination: dir, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: 0o755, MTime: r.epoch},
		})
	}
	return contents, nil
}
