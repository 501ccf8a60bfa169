package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// What our own compatibility artifacts are, in the dialect that imagefit create writes.
const (
	artifactType  = "application/vnd.oci.image-compatibility.v1"
	artifactLayer = "application/vnd.oci.image-compatibility.spec.v1+json"
)

// user is the one that the programs of the image run as, unless a pod says otherwise.
const user = "65532:65532"

func imagePrograms() []string {
	return []string{"cri-proxy", "nri-plugin", "imagefit", "imagefit-controller"}
}

// variants are the platforms of the image. The one that every node of an architecture runs comes
// first, for runtimes that take the first.
func variants() []target {
	all := imagePrograms()
	return []target{
		{os: "linux", arch: "amd64", programs: all},
		{os: "linux", arch: "arm64", programs: all},
		{os: "linux", arch: "amd64", level: "v3", programs: all},
	}
}

// image makes an archive of an OCI layout with an index of the variants, and with what each of
// them needs attached to it. It returns the digest of the index.
func (r *release) image(ctx context.Context) (digest.Digest, error) {
	l := newLayout()
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Annotations: r.annotations()}
	index.SchemaVersion = 2
	var built []target
	for _, t := range variants() {
		if !r.platforms[t.platform()] {
			continue
		}
		t.programs = slices.DeleteFunc(t.programs, func(name string) bool { return !r.inImage[name] })
		if err := r.build(ctx, t); err != nil {
			return "", err
		}
		variant, err := r.variant(l, t)
		if err != nil {
			return "", fmt.Errorf("make the variant %s: %w", t.platform(), err)
		}
		index.Manifests = append(index.Manifests, variant)
		if err := r.attachNeeds(ctx, l, t, variant); err != nil {
			return "", fmt.Errorf("state what the variant %s needs: %w", t.platform(), err)
		}
		built = append(built, t)
	}
	descriptor, err := l.addJSON(ocispec.MediaTypeImageIndex, index)
	if err != nil {
		return "", err
	}
	l.name(descriptor, strings.ReplaceAll(r.version, "+", "-")) // a tag has no +
	content, err := l.archive(r.epoch)
	if err != nil {
		return "", err
	}
	return descriptor.Digest, r.finish("imagefit-"+r.version+"-image.oci.tar", content, built...)
}

func (r *release) annotations() map[string]string {
	return map[string]string{
		ocispec.AnnotationTitle: "imagefit", ocispec.AnnotationVersion: r.version, ocispec.AnnotationLicenses: "Apache-2.0",
		ocispec.AnnotationSource:  "https://github.com/imagefit/imagefit",
		ocispec.AnnotationCreated: r.epoch.Format(time.RFC3339),
	}
}

// variant adds the image of one platform.
func (r *release) variant(l *layout, t target) (ocispec.Descriptor, error) {
	plain, err := r.rootfs(t)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(plain); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := w.Close(); err != nil {
		return ocispec.Descriptor{}, err
	}
	platform := ocispec.Platform{OS: t.os, Architecture: t.arch, Variant: t.level}
	config, err := l.addJSON(ocispec.MediaTypeImageConfig, ocispec.Image{
		Created: &r.epoch, Platform: platform,
		Config: ocispec.ImageConfig{
			User: user, Entrypoint: []string{"/usr/bin/imagefit-controller"}, Labels: r.annotations(),
			Env: []string{"PATH=/usr/bin"},
		},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: digests(plain)},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	manifest := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, Config: config, Annotations: r.annotations(),
		Layers: []ocispec.Descriptor{l.add(ocispec.MediaTypeImageLayerGzip, zipped.Bytes())},
	}
	manifest.SchemaVersion = 2
	descriptor, err := l.addJSON(ocispec.MediaTypeImageManifest, manifest)
	descriptor.Platform = &platform
	return descriptor, err
}

// rootfs is the one layer: the programs, the root certificates, and who owns a process.
func (r *release) rootfs(t target) ([]byte, error) {
	all := []file{
		{name: "etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/:/\nnonroot:x:65532:65532:nonroot:/:/\n")},
		{name: "etc/group", mode: 0o644, content: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: roots()},
	}
	programs, err := r.binaries(t)
	if err != nil {
		return nil, err
	}
	for _, program := range programs {
		program.name = "usr/" + program.name
		all = append(all, program)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, dir := range []string{"etc/", "etc/ssl/", "etc/ssl/certs/", "usr/", "usr/bin/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: r.epoch, Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777, ModTime: r.epoch, Format: tar.FormatUSTAR}); err != nil {
		return nil, err
	}
	for _, f := range all {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.content)), Mode: int64(f.mode), ModTime: r.epoch, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return out.Bytes(), err
}

// roots are the certificates that Mozilla trusts, as of the version of the module.
func roots() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a bundle of certificates cannot say it
		}
		if _, err := x509.ParseCertificate(root.Certificate); err != nil {
			continue
		}
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // into memory
	}
	return out.Bytes()
}

// attachNeeds has our own tool look at the programs of a variant, and attaches what they need, if anything.
func (r *release) attachNeeds(ctx context.Context, l *layout, t target, variant ocispec.Descriptor) error {
	tool := r.program(target{os: runtime.GOOS, arch: runtime.GOARCH}, "imagefit")
	needs := filepath.Join(r.work, "needs.json")
	_, err := r.output(ctx, nil, tool, "create", "--from", filepath.Dir(r.program(t, "imagefit")), "-w", needs)
	if exit, ok := asExit(err); ok && exit.ExitCode() == exitNothing {
		return nil
	}
	if err != nil {
		return err
	}
	body, err := os.ReadFile(needs)
	if err != nil {
		return err
	}
	manifest := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config:      l.add(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:      []ocispec.Descriptor{l.add(artifactLayer, body)},
		Subject:     &ocispec.Descriptor{MediaType: variant.MediaType, Digest: variant.Digest, Size: variant.Size},
		Annotations: map[string]string{ocispec.AnnotationCreated: r.epoch.Format(time.RFC3339)},
	}
	manifest.SchemaVersion = 2
	descriptor, err := l.addJSON(ocispec.MediaTypeImageManifest, manifest)
	descriptor.ArtifactType = artifactType
	l.list(descriptor)
	return err
}

// exitNothing is the exit code of imagefit create where nothing is needed.
const exitNothing = 3

func asExit(err error) (*exec.ExitError, bool) { return errors.AsType[*exec.ExitError](err) }
