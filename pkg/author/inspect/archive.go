package inspect

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/internal/textutil"
)

// opener opens a file of an OCI layout.
type opener func(name string) (fs.File, error)

// Open implements Source.
func (open opener) Open(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	return open(path.Join("blobs", string(d.Digest.Algorithm()), d.Digest.Encoded()))
}

// layout looks at the images of an OCI layout.
func layout(ctx context.Context, open opener, platform string) ([]*Contents, error) {
	var top ocispec.Index
	if err := readFile(open, "index.json", &top); err != nil {
		return nil, err
	}
	return images(ctx, open, top.Manifests, platform)
}

func readFile(open opener, name string, into any) error {
	f, err := open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	body, err := fsutil.ReadAll(name, f, maxManifest)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// archive looks at a tar file: of an OCI layout, of docker save and the like, or of
// a file system.
func archive(ctx context.Context, f *os.File, platform string) ([]*Contents, error) {
	if members, err := tarMembers(ctx, f); err == nil {
		open := func(name string) (fs.File, error) {
			if m, ok := members.find(path.Clean(name)); ok {
				return memberFile{io.NewSectionReader(m, 0, m.Size())}, nil
			}
			return nil, fmt.Errorf("the archive has no %s: %w", textutil.Short(name), fs.ErrNotExist)
		}
		switch {
		case members.files["oci-layout"] != nil && members.files["index.json"] != nil:
			return layout(ctx, open, platform)
		case members.files["manifest.json"] != nil:
			return dockerArchive(ctx, open, platform)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	i := newContents()
	if err := i.layer(ctx, f, newShadow()); err != nil {
		return nil, err
	}
	if i.Names["manifest.json"] && len(i.Programs) == 0 && (i.Names["index.json"] || i.Names["layer.tar"] || i.Names["repositories"]) {
		return nil, errors.New("is a compressed archive of an image: decompress it first (gunzip, zstd -d)")
	}
	return []*Contents{i}, nil
}

// dockerArchive looks at the images of "docker save", "crane pull" or of the
// docker-archive of skopeo and podman.
func dockerArchive(ctx context.Context, open opener, platform string) ([]*Contents, error) {
	var manifests []struct {
		Config string
		Layers []string
	}
	if err := readFile(open, "manifest.json", &manifests); err != nil {
		return nil, err
	}
	var found []*Contents
	var names []string
	for _, m := range manifests[:min(len(manifests), maxVariants)] {
		var config ocispec.Image
		if err := readFile(open, m.Config, &config); err != nil {
			return nil, err
		}
		i := newContents()
		i.Platform = platformName(config.Platform)
		names = append(names, i.Platform)
		if platform != "" && i.Platform != "" && platform != i.Platform && len(manifests) > 1 {
			continue
		}
		above := newShadow()
		for _, name := range slices.Backward(m.Layers[:min(len(m.Layers), maxLayers)]) {
			if err := i.member(ctx, open, name, above); err != nil {
				return nil, fmt.Errorf("read layer %s: %w", textutil.Short(name), err)
			}
		}
		found = append(found, i)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("the archive has no image for %s, only %q", platform, names)
	}
	return found, nil
}

func (i *Contents) member(ctx context.Context, open opener, name string, above *shadow) error {
	f, err := open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return i.layer(ctx, f, above)
}

// members are what an archive holds that is not compressed.
type members struct {
	files map[string]*io.SectionReader
	links map[string]string
}

// find follows the links of an archive: older ones have a layer once, and links to
// it.
func (m members) find(name string) (*io.SectionReader, bool) {
	const most = 8
	for range most {
		if found, ok := m.files[name]; ok {
			return found, true
		}
		to, ok := m.links[name]
		if !ok {
			break
		}
		name = path.Join(path.Dir(name), to)
	}
	return nil, false
}

// memberFile is a member of an archive as a file.
type memberFile struct{ *io.SectionReader }

func (memberFile) Stat() (fs.FileInfo, error) { return nil, errors.New("not supported") }
func (memberFile) Close() error               { return nil }

// tarMembers finds the members of an archive that is not compressed.
func tarMembers(ctx context.Context, f *os.File) (members, error) {
	found := members{map[string]*io.SectionReader{}, map[string]string{}}
	for reader := tar.NewReader(f); ; {
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		head, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		if len(found.files)+len(found.links) >= maxFiles {
			return found, fmt.Errorf("more than %d members", maxFiles)
		}
		begin, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return found, err
		}
		switch head.Typeflag {
		case tar.TypeReg:
			found.files[path.Clean(head.Name)] = io.NewSectionReader(f, begin, head.Size)
		case tar.TypeSymlink:
			found.links[path.Clean(head.Name)] = head.Linkname
		}
	}
}
