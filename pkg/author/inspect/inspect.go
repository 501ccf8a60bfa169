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

// Path looks at the programs in a file, a directory, an OCI layout, or a tar
// archive of a file system or of an OCI layout. Of an image with variants it
// takes the one of the platform ("linux/amd64").
func Path(ctx context.Context, name, platform string) (*Contents, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	found := &Contents{Names: map[string]bool{}}
	switch {
	case info.IsDir():
		err = found.directory(ctx, name, platform)
	case !info.Mode().IsRegular():
		err = errors.New("not a file or a directory")
	default:
		err = found.file(ctx, name, platform)
	}
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", name, err)
	}
	slices.SortFunc(found.Programs, func(a, b Program) int { return strings.Compare(a.Path, b.Path) })
	return found, nil
}

func (i *Contents) file(ctx context.Context, name, platform string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	p, err := ReadProgram(path.Base(name), f)
	switch {
	case err == nil:
		i.Programs, i.Kind = append(i.Programs, *p), kindProgram
		return nil
	case errors.Is(err, errNotELF):
		return i.archive(ctx, f, platform)
	default:
		return err
	}
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
