package snapshot

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/imagefit/imagefit/pkg/hostfacts"
)

const (
	maxArchiveSize    = 64 << 20 // uncompressed
	maxArchiveEntries = 1 << 16
)

// archive is the files of a node in memory. Links are resolved inside it.
type archive map[string]*archived

// archived is one of a file, a link and a directory.
type archived struct {
	data  []byte
	link  string
	names map[string]struct{} // not nil: a directory
}

func newArchive() archive {
	return archive{".": {names: map[string]struct{}{}}}
}

// readArchive reads a tar.gz of at most 64 MiB uncompressed.
func readArchive(r io.Reader) (archive, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: z, N: maxArchiveSize + 1}
	a, err := readTar(tar.NewReader(limited))
	if limited.N <= 0 {
		return nil, fmt.Errorf("larger than %d bytes uncompressed", maxArchiveSize)
	}
	return a, err
}

func readTar(r *tar.Reader) (archive, error) {
	a := newArchive()
	for range maxArchiveEntries {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return nil, err
		}
		if err := a.add(header, r); err != nil {
			return nil, err
		}
	}
	if _, err := r.Next(); errors.Is(err, io.EOF) {
		return a, nil
	}
	return nil, fmt.Errorf("more than %d entries", maxArchiveEntries)
}

// writeArchive writes what readArchive reads.
func writeArchive(w io.Writer, index *index, content map[string][]byte) error {
	text, err := json.MarshalIndent(index, "", " ")
	if err != nil {
		return err
	}
	content[indexFile] = append(text, '\n')
	z := gzip.NewWriter(w)
	archive := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(content)) {
		data := content[name]
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(data); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), z.Close())
}

func (a archive) add(header *tar.Header, content io.Reader) error {
	if slices.Contains(strings.Split(header.Name, "/"), "..") {
		return fmt.Errorf("entry %.100q leads out of the archive", header.Name)
	}
	name := clean(header.Name)
	switch header.Typeflag {
	case tar.TypeDir:
		return a.put(name, &archived{names: map[string]struct{}{}})
	case tar.TypeSymlink:
		return a.put(name, &archived{link: header.Linkname})
	case tar.TypeReg:
		data, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		return a.put(name, &archived{data: data})
	case tar.TypeXGlobalHeader:
		return nil
	default:
		return fmt.Errorf("entry %.100q is not a file, directory or symbolic link", header.Name)
	}
}

// put adds an entry and the directories above it. A later entry of a name
// takes the place of an earlier one, except that a directory keeps its entries.
func (a archive) put(name string, entry *archived) error {
	old := a[name]
	switch {
	case old == nil:
		a[name] = entry
	case old.names == nil && entry.names == nil:
		*old = *entry
		return nil
	case old.names != nil && entry.names != nil:
		return nil
	default:
		return fmt.Errorf("entry %.100q is a directory and something else", name)
	}
	for name != "." {
		parent := path.Dir(name)
		dir := a[parent]
		known := dir != nil
		if !known {
			dir = &archived{names: map[string]struct{}{}}
			a[parent] = dir
		}
		if dir.names == nil {
			return fmt.Errorf("entry %.100q is below something that is not a directory", name)
		}
		dir.names[path.Base(name)] = struct{}{}
		if known {
			return nil
		}
		name = parent
	}
	return nil
}

func (a archive) Open(name string) (hostfacts.File, error) {
	entry, err := a.find(name)
	if err != nil {
		return nil, err
	}
	if entry.names != nil {
		return nil, hostfacts.ErrNotRegular
	}
	return memoryFile{bytes.NewReader(entry.data)}, nil
}

func (a archive) ReadDir(name string) ([]string, error) {
	entry, err := a.find(name)
	if err != nil {
		return nil, err
	}
	if entry.names == nil {
		return nil, syscall.ENOTDIR
	}
	return slices.Collect(maps.Keys(entry.names)), nil
}

func (a archive) Readlink(name string) (string, error) {
	name = clean(name)
	dir, err := hostfacts.ResolveLinks(a.linkAt, path.Dir(name))
	if err != nil {
		return "", err
	}
	return a.linkAt(path.Join(dir, path.Base(name)))
}

func (a archive) Stat(name string) error {
	_, err := a.find(name)
	return err
}

// linkAt is readlink for a name without links above its last part.
func (a archive) linkAt(name string) (string, error) {
	entry := a[name]
	if entry == nil {
		if parent := a[path.Dir(name)]; parent != nil && parent.names == nil {
			return "", syscall.ENOTDIR
		}
		return "", syscall.ENOENT
	}
	if entry.link == "" {
		return "", syscall.EINVAL
	}
	return entry.link, nil
}

func (a archive) find(name string) (*archived, error) {
	target, err := hostfacts.ResolveLinks(a.linkAt, name)
	if err != nil {
		return nil, err
	}
	return a[target], nil
}

// memoryFile is an open file of an archive.
type memoryFile struct{ *bytes.Reader }

func (memoryFile) Close() error { return nil }

// clean returns name without needless parts, relative to the root; the root
// itself is ".".
func clean(name string) string {
	if name = path.Clean("/" + name)[1:]; name == "" {
		return "."
	}
	return name
}
