package wiring

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/description"
)

// Bounds of what is read of images.d.
const (
	maxDescriptionFile  = 1 << 20
	maxDescriptionFiles = 256
)

// Descriptions returns what the operator states about the images of others, in the
// *.toml files of a directory. A file that cannot be used is skipped, with the reason.
func Descriptions(dir string, in *spec.Interpreter) (set *description.Set, skipped []error, err error) {
	names, err := fs.Glob(os.DirFS(dir), "*.toml")
	if err != nil {
		return nil, nil, fmt.Errorf("list descriptions of images: %w", err)
	}
	if len(names) > maxDescriptionFiles {
		skipped = append(skipped, fmt.Errorf("read descriptions of images of %s: only the first %d of %d files are read", dir, maxDescriptionFiles, len(names)))
		names = names[:maxDescriptionFiles]
	}
	var all []*description.Description
	for _, name := range names {
		file := filepath.Join(dir, name)
		if strings.HasPrefix(name, ".") {
			continue // being written
		}
		text, err := fsutil.ReadFile(file, maxDescriptionFile)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("read description of images: %w", err))
			continue
		}
		found, err := description.Parse(in, file, text)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("read description of images %s: %w", file, err))
			continue
		}
		all = append(all, found...)
	}
	return description.NewSet(all), skipped, nil
}

// RuleFiles tells one state of the operator's rule files from another: the names,
// sizes and times of what is in their directories, and of public keys.
func RuleFiles(cfg config.Config) string {
	var b strings.Builder
	for _, dir := range []string{cfg.Select.SpecsDir, cfg.Select.ImagesDir} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			fmt.Fprintln(&b, dir, "unreadable")
			continue
		}
		for _, e := range entries[:min(len(entries), 2*maxDescriptionFiles)] {
			if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && filepath.Ext(e.Name()) == ".toml" {
				fmt.Fprintln(&b, dir, e.Name(), info.Size(), info.ModTime().UnixNano())
			}
		}
	}
	for _, file := range allKeyFiles(cfg.Trust) {
		if info, err := os.Stat(file); err == nil {
			fmt.Fprintln(&b, file, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}
