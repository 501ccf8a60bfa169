package inspect

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// directory looks at all files below a directory, or at the image where it is
// an OCI layout. Links are noted and not followed.
func (i *Contents) directory(ctx context.Context, name, platform string) error {
	root, err := os.OpenRoot(name)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	tree := root.FS()
	if _, err := fs.Stat(tree, "oci-layout"); err == nil {
		return i.image(ctx, tree.Open, platform)
	}
	if !isRoot(tree) {
		i.Kind = kindFolder
	}
	return fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			i.skip(name, err)
			return nil
		case entry.IsDir():
			return nil
		}
		if err := i.see(name); err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		return i.open(tree, name)
	})
}

// isRoot reports a folder that looks like the root of a file system.
func isRoot(tree fs.FS) bool {
	for _, name := range []string{"usr", "etc", "lib64"} {
		if info, err := fs.Stat(tree, name); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}

func (i *Contents) open(tree fs.FS, name string) error {
	f, err := tree.Open(name)
	if err != nil {
		i.skip(name, err)
		return nil
	}
	defer func() { _ = f.Close() }()
	at, ok := f.(io.ReaderAt)
	if !ok {
		return fmt.Errorf("read %s: not at random", name)
	}
	return i.add(name, at)
}

// archive looks at a tar file: the layers of an image, or a file system.
func (i *Contents) archive(ctx context.Context, f *os.File, platform string) error {
	if blobs, err := tarBlobs(ctx, f); err == nil && blobs["oci-layout"] != nil {
		return i.image(ctx, func(name string) (fs.File, error) {
			if blob, ok := blobs[path.Clean(name)]; ok {
				return blobFile{io.NewSectionReader(blob, 0, blob.Size())}, nil
			}
			return nil, fmt.Errorf("the archive has no %s: %w", name, fs.ErrNotExist)
		}, platform)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return i.layer(ctx, f, newShadow())
}

// blobFile is a member of an archive as a file.
type blobFile struct{ *io.SectionReader }

func (blobFile) Stat() (fs.FileInfo, error) { return nil, errors.New("not supported") }
func (blobFile) Close() error               { return nil }

// tarBlobs finds the members of an archive that is not compressed.
func tarBlobs(ctx context.Context, f *os.File) (map[string]*io.SectionReader, error) {
	archive := tar.NewReader(f)
	blobs := map[string]*io.SectionReader{}
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return blobs, nil
		}
		if err != nil {
			return nil, err
		}
		if len(blobs) == maxFiles {
			return nil, fmt.Errorf("more than %d members", maxFiles)
		}
		begin, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if head.Typeflag == tar.TypeReg {
			blobs[path.Clean(head.Name)] = io.NewSectionReader(f, begin, head.Size)
		}
	}
}

// layer looks at one tar archive, compressed or not, except for what layers above
// it replace or remove.
func (i *Contents) layer(ctx context.Context, r io.Reader, above *shadow) error {
	plain, done, err := decompress(r)
	if err != nil {
		return err
	}
	defer done()
	archive := tar.NewReader(io.LimitReader(plain, maxUnpacked))
	own := newShadow()
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			maps.Copy(above.files, own.files)
			maps.Copy(above.opaque, own.opaque)
			return nil
		}
		if err != nil {
			return fmt.Errorf("not a program, directory, image or archive: %w", err)
		}
		name := strings.TrimPrefix(path.Clean("/"+head.Name), "/")
		if above.hides(name) || own.whiteout(name) || head.Typeflag == tar.TypeDir {
			continue
		}
		if len(own.files) == maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		own.files[name] = true
		if err := i.see(name); err != nil {
			return err
		}
		if head.Typeflag == tar.TypeReg {
			if err := i.addStream(name, head.Size, archive); err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
		}
	}
}

// decompress tells gzip and zstd by their first bytes.
func decompress(r io.Reader) (io.Reader, func(), error) {
	buffered := bufio.NewReader(r)
	head, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case strings.HasPrefix(string(head), "\x1f\x8b"):
		unzipped, err := gzip.NewReader(buffered)
		return unzipped, func() {}, err
	case string(head) == "\x28\xb5\x2f\xfd":
		const window = 128 << 20
		unzipped, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return nil, nil, err
		}
		return unzipped, unzipped.Close, nil
	default:
		return buffered, func() {}, nil
	}
}
