package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
)

// Types of a catalog in a registry.
const (
	ArtifactType = "application/vnd.imagefit.catalog.v1"
	LayerType    = "application/vnd.imagefit.catalog.v1.sqlite+zstd"
)

// maxPulled and maxUnpacked bound a catalog from a registry.
const (
	maxPulled   = 1 << 30
	maxUnpacked = 8 << 30
)

// Push puts a catalog into a repository under a tag, as it is at this moment.
func (c *Catalog) Push(ctx context.Context, to *remote.Repository, tag string) (ocispec.Descriptor, error) {
	var none ocispec.Descriptor
	if c.engine.numbered {
		return none, errors.New("push the catalog: only a file of SQLite can be pushed, not a PostgreSQL database")
	}
	dir, err := os.MkdirTemp("", "imagefit-catalog-")
	if err != nil {
		return none, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	plain, packed := filepath.Join(dir, "catalog.db"), filepath.Join(dir, "catalog.zst")
	if _, err := c.db.ExecContext(ctx, "VACUUM INTO ?", plain); err != nil {
		return none, c.named(err)
	}
	layer, err := pack(plain, packed)
	if err != nil {
		return none, fmt.Errorf("pack the catalog: %w", err)
	}
	f, err := os.Open(packed)
	if err != nil {
		return none, err
	}
	defer func() { _ = f.Close() }()
	if err := pushBlob(ctx, to, layer, f); err != nil {
		return none, err
	}
	if err := pushBlob(ctx, to, ocispec.DescriptorEmptyJSON, bytes.NewReader(ocispec.DescriptorEmptyJSON.Data)); err != nil {
		return none, err
	}
	body, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: ArtifactType,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{layer},
		Annotations: map[string]string{ocispec.AnnotationCreated: c.now().UTC().Format(time.RFC3339)},
	})
	if err != nil {
		return none, err
	}
	desc := content.NewDescriptorFromBytes(ocispec.MediaTypeImageManifest, body)
	return desc, to.PushReference(ctx, desc, bytes.NewReader(body), tag)
}

func pushBlob(ctx context.Context, to *remote.Repository, d ocispec.Descriptor, from io.Reader) error {
	there, err := to.Blobs().Exists(ctx, d)
	if err != nil || there {
		return err
	}
	if err := to.Blobs().Push(ctx, d, from); err != nil && !errors.Is(err, errdef.ErrAlreadyExists) {
		return err
	}
	return nil
}

// pack compresses a file, and returns the descriptor of the result.
func pack(plain, packed string) (d ocispec.Descriptor, err error) {
	in, err := os.Open(plain)
	if err != nil {
		return d, err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(packed, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return d, err
	}
	defer func() { _ = out.Close() }()
	sum := digest.Canonical.Digester()
	encoder, err := zstd.NewWriter(io.MultiWriter(out, sum.Hash()))
	if err != nil {
		return d, err
	}
	if _, err := io.Copy(encoder, in); err != nil {
		return d, err
	}
	if err := encoder.Close(); err != nil {
		return d, err
	}
	size, err := out.Seek(0, io.SeekCurrent)
	return ocispec.Descriptor{MediaType: LayerType, Digest: sum.Digest(), Size: size}, err
}

// Pull fetches a catalog from a repository into a file that does not exist yet. Whoever
// pushed it is not trusted: its tables must be those that this package makes.
func Pull(ctx context.Context, from *remote.Repository, tag, path string) error {
	layer, err := layerOf(ctx, from, tag)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".tmp-catalog-")
	if err != nil {
		return err
	}
	defer func() {
		_ = temp.Close()
		_ = os.Remove(temp.Name())
	}()
	body, err := from.Blobs().Fetch(ctx, layer)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	verified := content.NewVerifyReader(body, layer)
	decoder, err := zstd.NewReader(verified, zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return err
	}
	defer decoder.Close()
	n, err := io.Copy(temp, io.LimitReader(decoder, maxUnpacked+1))
	switch {
	case err != nil:
		return fmt.Errorf("unpack the catalog: %w", err)
	case n > maxUnpacked:
		return fmt.Errorf("the catalog has more than %d bytes", int64(maxUnpacked))
	}
	if err := verified.Verify(); err != nil {
		return fmt.Errorf("the catalog is damaged: %w", err)
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := check(ctx, temp.Name()); err != nil {
		return fmt.Errorf("the catalog that was pulled cannot be used: %w", err)
	}
	return os.Rename(temp.Name(), path)
}

func layerOf(ctx context.Context, from *remote.Repository, tag string) (layer ocispec.Descriptor, err error) {
	desc, body, err := from.FetchReference(ctx, tag)
	if err != nil {
		return layer, err
	}
	defer func() { _ = body.Close() }()
	if desc.Size > maxContent {
		return layer, fmt.Errorf("%s is not a catalog: its manifest has %d bytes", tag, desc.Size)
	}
	text, err := content.ReadAll(body, desc)
	if err != nil {
		return layer, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return layer, fmt.Errorf("read the manifest of %s: %w", tag, err)
	}
	if m.ArtifactType != ArtifactType || len(m.Layers) != 1 || m.Layers[0].MediaType != LayerType {
		return layer, fmt.Errorf("%s is not a catalog: imagefit catalog push makes one", tag)
	}
	if layer = m.Layers[0]; layer.Size > maxPulled || layer.Size < 0 || layer.Digest.Validate() != nil {
		return layer, fmt.Errorf("the catalog has %d bytes, at most %d are read", layer.Size, maxPulled)
	}
	return layer, nil
}

// check tells what is wrong with a file from elsewhere: it must be sound, and have the
// tables, indexes and views of a catalog and nothing else.
func check(ctx context.Context, path string) error {
	c, err := Open(ctx, path, Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	var sound string
	if err := c.db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&sound); err != nil {
		return c.named(err)
	}
	if sound != "ok" {
		return errors.New("it is damaged: " + sound)
	}
	dir, err := os.MkdirTemp("", "imagefit-catalog-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	own, err := Open(ctx, filepath.Join(dir, "own.db"), Options{})
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }()
	theirs, err := c.objects(ctx)
	if err != nil {
		return err
	}
	ours, err := own.objects(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(theirs, ours) {
		return errors.New("its tables are not those of a catalog")
	}
	return nil
}

// objects lists what is in the schema of a file, but for statistics.
func (c *Catalog) objects(ctx context.Context) (all []string, err error) {
	err = c.each(ctx, func(scan func(...any) error) error {
		var one string
		err := scan(&one)
		all = append(all, one)
		return err
	}, "SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1")
	return all, err
}
