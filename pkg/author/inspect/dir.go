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

// directory looks at all files below a directory, or at the images where it is
// an OCI layout. Links are noted and not followed.
func directory(ctx context.Context, name, platform string) ([]*Contents, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	tree := root.FS()
	if _, err := fs.Stat(tree, "oci-layout"); err == nil {
		return layout(ctx, tree.Open, platform)
	}
	i := newContents()
	if !isRoot(tree) {
		i.Kind = kindFolder
	}
	return []*Contents{i}, fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
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
			return fmt.Errorf("not an archive that can be read: %w", err)
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
