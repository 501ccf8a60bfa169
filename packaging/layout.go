package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layout is an OCI image layout.
type layout struct {
	blobs map[string][]byte // by path
	index ocispec.Index
}

func newLayout() *layout {
	return &layout{
		blobs: map[string][]byte{},
		index: ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex},
	}
}

// add adds a blob.
func (l *layout) add(mediaType string, content []byte) ocispec.Descriptor {
	d := digest.FromBytes(content)
	l.blobs[path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())] = content
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

func (l *layout) addJSON(mediaType string, document any) (ocispec.Descriptor, error) {
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return l.add(mediaType, text), nil
}

// list names a manifest in the index of the layout, where readers look for referrers too.
func (l *layout) list(d ocispec.Descriptor) { l.index.Manifests = append(l.index.Manifests, d) }

// name lists a manifest under a tag, before all others.
func (l *layout) name(d ocispec.Descriptor, tag string) {
	d.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	l.index.Manifests = slices.Insert(l.index.Manifests, 0, d)
}

// archive is the layout as one file.
func (l *layout) archive(at time.Time) ([]byte, error) {
	files := maps.Clone(l.blobs)
	var err error
	if files[ocispec.ImageIndexFile], err = json.MarshalIndent(l.index, "", "  "); err != nil {
		return nil, err
	}
	if files[ocispec.ImageLayoutFile], err = json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(files[name])), Mode: 0o644, ModTime: at, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return out.Bytes(), err
}

func digests(of ...[]byte) []digest.Digest {
	var all []digest.Digest
	for _, content := range of {
		all = append(all, digest.FromBytes(content))
	}
	return all
}
