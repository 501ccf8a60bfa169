package catalog

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// Types of the data objects of a SIF file.
const (
	sifJSON      = 0x4006
	sifRootIndex = 0x400a
	sifBlob      = 0x400b
)

const (
	sifMagic       = "SIF_MAGIC\x00"
	sifLaunch      = 32 // bytes before the magic
	maxSIFObjects  = 4096
	sifDescriptors = 585 // bytes of a descriptor
)

// sifHeader is the beginning of a SIF file.
type sifHeader struct {
	Launch            [sifLaunch]byte
	Magic             [10]byte
	Version, Arch     [3]byte
	ID                [16]byte
	Created, Modified int64
	Free, Total       int64
	Offset, Size      int64 // of the descriptors
	DataOffset        int64
	DataSize          int64
}

// sifObject is a descriptor of a SIF file.
type sifObject struct {
	Type              int32
	Used              bool
	ID, Group, Link   uint32
	Offset, Size      int64
	Padded            int64
	Created, Modified int64
	User, UserGroup   int64
	Name              [128]byte
	Extra             [384]byte
}

// sifFile is an image of Singularity or Apptainer.
type sifFile struct {
	*os.File
	header  sifHeader
	objects []sifObject
	id      digest.Digest // of header and descriptors
}

// sifArchitecture is the architecture of a SIF header, as Go names it.
func sifArchitecture(code string) string {
	return map[string]string{
		"01": "386", "02": "amd64", "03": "arm", "04": "arm64", "05": "ppc64", "06": "ppc64le", "07": "mips", "08": "mipsle",
		"09": "mips64", "10": "mips64le", "11": "s390x", "12": "riscv64",
	}[code]
}

// openSIF opens a SIF file; it returns nil for a file of another kind.
func openSIF(name string) (*sifFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	s := &sifFile{File: f}
	if err := s.read(); err != nil {
		_ = f.Close()
		if errors.Is(err, errNotSIF) {
			return nil, nil //nolint:nilnil // another kind of file
		}
		return nil, err
	}
	return s, nil
}

var errNotSIF = errors.New("not a SIF file")

// read reads header and descriptors.
func (s *sifFile) read() error {
	head := make([]byte, binary.Size(s.header))
	if n, err := s.ReadAt(head, 0); n < len(head) {
		if err == nil || errors.Is(err, io.EOF) {
			return errNotSIF
		}
		return err
	}
	if string(head[sifLaunch:sifLaunch+len(sifMagic)]) != sifMagic {
		return errNotSIF
	}
	if err := binary.Read(bytes.NewReader(head), binary.LittleEndian, &s.header); err != nil {
		return err
	}
	h := s.header
	if h.Total < 0 || h.Total > maxSIFObjects || h.Offset < 0 {
		return fmt.Errorf("it has %d data objects, at most %d are read", h.Total, maxSIFObjects)
	}
	table := make([]byte, h.Total*sifDescriptors)
	if n, err := s.ReadAt(table, h.Offset); n < len(table) {
		return fmt.Errorf("its table of data objects is truncated: %w", err)
	}
	objects := make([]sifObject, h.Total)
	if err := binary.Read(bytes.NewReader(table), binary.LittleEndian, objects); err != nil {
		return err
	}
	for _, o := range objects {
		if o.Used {
			s.objects = append(s.objects, o)
		}
	}
	s.id = digest.FromBytes(slices.Concat(head, table))
	return nil
}

// data reads a data object.
func (s *sifFile) data(o sifObject) ([]byte, error) {
	if o.Size < 0 || o.Size > maxContent || o.Offset < 0 {
		return nil, fmt.Errorf("%w: a data object has %d bytes", registry.ErrTooLarge, o.Size)
	}
	text := make([]byte, o.Size)
	if n, err := s.ReadAt(text, o.Offset); n < len(text) {
		return nil, fmt.Errorf("%w: a data object is truncated: %w", registry.ErrCorrupt, err)
	}
	return text, nil
}

// sif reads an image of Singularity or Apptainer: of one that holds OCI blobs its
// manifests, of another one what the header and its JSON objects state.
func (r *run) sif(ctx context.Context, name string, s *sifFile) error {
	blobs := map[digest.Digest]sifObject{}
	for _, o := range s.objects {
		if o.Type == sifBlob {
			blobs[digest.Digest(strings.TrimRight(string(o.Extra[:]), "\x00"))] = o
		}
	}
	for _, o := range s.objects {
		if o.Type != sifRootIndex {
			continue
		}
		text, err := s.data(o)
		if err != nil {
			return err
		}
		var top ocispec.Index
		if err := json.Unmarshal(text, &top); err != nil {
			return fmt.Errorf("read its OCI index: %w", err)
		}
		return r.layout(ctx, name, top.Manifests, func(d ocispec.Descriptor) ([]byte, error) {
			blob, ok := blobs[d.Digest]
			if !ok {
				return nil, fmt.Errorf("%w: it has no blob %s", registry.ErrNotFound, d.Digest)
			}
			return s.data(blob)
		})
	}
	return r.plainSIF(ctx, name, s)
}

func (r *run) plainSIF(ctx context.Context, name string, s *sifFile) error {
	platform := ocispec.Platform{OS: "linux", Architecture: sifArchitecture(string(s.header.Arch[:2]))}
	m := Manifest{Digest: s.id, Config: s.id, Content: s.header.DataSize}
	if s.header.Created > 0 {
		m.Created = time.Unix(s.header.Created, 0)
	}
	v := Variant{Manifest: m, Platform: platformName(&platform)}
	var err error
	if v.Claims.Platform, err = json.Marshal(platform); err != nil {
		return err
	}
	subject := Subject{Digest: s.id, Listing: "sif"}
	for _, o := range s.objects {
		if o.Type != sifJSON {
			continue
		}
		text, err := s.data(o)
		if err != nil {
			return err
		}
		if d, ok := dialect.Detect("", "", text); ok && d.Matches != nil {
			if root, err := d.Read(text); err != nil || !d.Matches(root) {
				continue
			}
			id := digest.FromBytes(text)
			subject.Artifacts = append(subject.Artifacts, referrers.Artifact{
				Type: d.ArtifactTypes[0], Manifest: id, Layer: id, MediaType: d.LayerTypes[0], Body: text, Current: true,
			})
		}
	}
	o := &Observed{Repository: name, Name: filepath.Base(name), Top: m, Variants: []Variant{v}, Subjects: []Subject{subject}}
	r.summary.Names++
	return ofDatabase(r.Catalog.record(ctx, r.Indexer, r.source.ID, o))
}
