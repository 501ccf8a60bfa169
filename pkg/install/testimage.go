package install

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

// testImage is an index of two variants in a registry of its own: the first needs a kernel
// that does not exist, so that a runtime alone takes it and imagefit the second.
type testImage struct {
	reference     string
	first, second digest.Digest // of the configs, which are the image IDs

	server *http.Server
	done   chan struct{}
}

const testRepository = "imagefit/install"

// neverThere is what the first variant needs.
const neverThere = `{"compatibilities": {"nfd": {"kernel-version.major": 9999}}}`

// serveTestImage serves the image on the loopback interface until it is closed.
func serveTestImage(ctx context.Context) (*testImage, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve a test image: %w", err)
	}
	memory := ocimem.NewWithConfig(&ocimem.Config{LaxChildReferences: true})
	t := &testImage{
		reference: listener.Addr().String() + "/" + testRepository + ":test", done: make(chan struct{}),
		server: &http.Server{Handler: ociserver.New(memory, nil), ReadHeaderTimeout: time.Minute},
	}
	go func() {
		defer close(t.done)
		_ = t.server.Serve(listener)
	}()
	push := pusher{ctx: ctx, to: memory}
	first, second := push.image("does not fit"), push.image("fits")
	t.first, t.second = first.config, second.config
	push.artifact(first.Descriptor)
	push.manifest(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{first.Descriptor, second.Descriptor},
	}, ocispec.MediaTypeImageIndex, "test")
	if push.err != nil {
		return nil, errors.Join(fmt.Errorf("make a test image: %w", push.err), t.close())
	}
	return t, nil
}

func (t *testImage) close() error {
	err := t.server.Close()
	<-t.done
	return err
}

// pusher pushes until the first error.
type pusher struct {
	ctx context.Context //nolint:containedctx // of this one image
	to  ociregistry.Writer
	err error
}

// variant is an entry of the index.
type variant struct {
	ocispec.Descriptor

	config digest.Digest
}

func (p *pusher) image(name string) variant {
	var layer, plain bytes.Buffer
	archive := tar.NewWriter(&plain)
	text := "imagefit install: " + name + "\n"
	p.err = errors.Join(p.err, archive.WriteHeader(&tar.Header{Name: "variant", Mode: 0o444, Size: int64(len(text))}))
	_, err := archive.Write([]byte(text))
	p.err = errors.Join(p.err, err, archive.Close())
	zip := gzip.NewWriter(&layer)
	_, err = zip.Write(plain.Bytes())
	p.err = errors.Join(p.err, err, zip.Close())
	platform := ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	config := p.json(ocispec.Image{
		Platform: platform, Config: ocispec.ImageConfig{Labels: map[string]string{"variant": name}},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(plain.Bytes())}},
	}, ocispec.MediaTypeImageConfig)
	manifest := p.manifest(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{p.blob(layer.Bytes(), ocispec.MediaTypeImageLayerGzip)},
	}, ocispec.MediaTypeImageManifest)
	manifest.Platform = &platform
	return variant{manifest, config.Digest}
}

// artifact says what a manifest needs.
func (p *pusher) artifact(subject ocispec.Descriptor) {
	subject.Platform = nil
	p.manifest(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: dialect.ArtifactType, Config: p.blob([]byte("{}"), ocispec.MediaTypeEmptyJSON), Subject: &subject,
		Layers: []ocispec.Descriptor{p.blob([]byte(neverThere), dialect.LayerTypeOutline)},
	}, ocispec.MediaTypeImageManifest)
}

func (p *pusher) json(v any, mediaType string) ocispec.Descriptor {
	text, err := json.Marshal(v)
	p.err = errors.Join(p.err, err)
	return p.blob(text, mediaType)
}

func (p *pusher) blob(content []byte, mediaType string) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	_, err := p.to.PushBlob(p.ctx, testRepository, desc, bytes.NewReader(content))
	p.err = errors.Join(p.err, err)
	return desc
}

func (p *pusher) manifest(v any, mediaType string, tags ...string) ocispec.Descriptor {
	text, err := json.Marshal(v)
	p.err = errors.Join(p.err, err)
	for _, tag := range append(tags, "") {
		_, err = p.to.PushManifest(p.ctx, testRepository, tag, text, mediaType)
		p.err = errors.Join(p.err, err)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
}
