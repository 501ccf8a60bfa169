package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// What is read of a directory or an image.
const (
	maxFiles    = 1_000_000
	maxPrograms = 50_000
	maxProgram  = 512 << 20 // of an archive, which has to fit into memory
)

// Contents is what is in a program, a directory or an image.
type Contents struct {
	Programs []Program `json:"programs"`
	// Names are the base names of all files: the libraries that the image brings.
	Names map[string]bool `json:"-"`
	// Skipped says what could not be looked at.
	Skipped []string `json:"skipped,omitempty"`
	Kind    Kind     `json:"-"`
	// Platform is that of an image, such as linux/amd64/v3, if it states one.
	Platform string `json:"platform,omitempty"`
}

// Kind is what was looked at.
type Kind uint8

const (
	kindImage   Kind = iota // or a file system
	kindProgram             // one file, and not what is around it
	kindFolder              // one that is not the root of a file system, as of a build
)

// IsPart reports what will be put into an image.
func (k Kind) IsPart() bool { return k != kindImage }

func newContents() *Contents { return &Contents{Names: map[string]bool{}} }

// Path looks at the programs in a file, a directory, an OCI layout, or a tar
// archive of a file system, of an OCI layout or of docker save. Of an image with
// variants it takes those of the platform ("linux/amd64"), or all.
func Path(ctx context.Context, name, platform string) (found []*Contents, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		found, err = directory(ctx, name, platform)
	case !info.Mode().IsRegular():
		err = errors.New("not a file or a directory")
	default:
		found, err = file(ctx, name, platform)
	}
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", name, err)
	}
	return sorted(found), nil
}

func sorted(found []*Contents) []*Contents {
	for _, i := range found {
		slices.SortFunc(i.Programs, func(a, b Program) int { return strings.Compare(a.Path, b.Path) })
	}
	return found
}

func file(ctx context.Context, name, platform string) ([]*Contents, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	p, err := ReadProgram(path.Base(name), f)
	switch {
	case err == nil:
		i := newContents()
		i.Programs, i.Kind = append(i.Programs, *p), kindProgram
		return []*Contents{i}, nil
	case !errors.Is(err, errNotELF):
		return nil, err
	}
	head := make([]byte, sniffed)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if what := wrongKind(head[:n]); what != "" {
		return nil, fmt.Errorf("this is %s, not a program for Linux, a directory, an image or an archive", what)
	}
	return archive(ctx, f, platform)
}

// add looks at one file of a directory or archive.
func (i *Contents) add(name string, file io.ReaderAt) error {
	p, err := ReadProgram(name, file)
	if errors.Is(err, errNotELF) {
		return nil
	}
	if err != nil {
		i.skip(name, err)
		return nil
	}
	if len(i.Programs) == maxPrograms {
		return fmt.Errorf("more than %d programs", maxPrograms)
	}
	i.Programs = append(i.Programs, *p)
	return nil
}

// addStream looks at a file that can only be read once: at its first bytes, and
// at the rest where they are those of a program.
func (i *Contents) addStream(name string, size int64, r io.Reader) error {
	head := make([]byte, 4)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if string(head[:n]) != "\x7fELF" {
		return nil
	}
	if size > maxProgram {
		i.skip(name, fmt.Errorf("larger than %d bytes", maxProgram))
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(io.MultiReader(bytes.NewReader(head), r), maxProgram))
	if err != nil {
		return err
	}
	return i.add(name, bytes.NewReader(body))
}

// see notes that a file is there.
func (i *Contents) see(name string) error {
	if len(i.Names) == maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	i.Names[path.Base(name)] = true
	return nil
}

func (i *Contents) skip(name string, err error) {
	const enough = 100
	if len(i.Skipped) < enough {
		i.Skipped = append(i.Skipped, fmt.Sprintf("%s: %v", name, err))
	}
}
