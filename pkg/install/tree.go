package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// maxRead bounds a file of the node that is read.
const maxRead = 1 << 20

// tree is the file system of a node below a folder. Paths are absolute, as on the node.
type tree struct {
	root string
	// own are paths that imagefit wrote itself: what is planned does not depend on them.
	own      map[string]bool
	volatile bool // a power cut may lose what is written: for tests
	// before are the texts that files of the operator had before imagefit changed them.
	before map[string]string
}

func (t tree) path(path string) string { return filepath.Join(t.root, path) }

// read is the content of a file, without what imagefit changed in it, "" where there
// is none or only one of imagefit's.
func (t tree) read(path string) string {
	if text, changed := t.before[path]; changed {
		return text
	}
	if t.own[path] {
		return ""
	}
	text, err := fsutil.ReadFile(t.path(path), maxRead)
	if err != nil {
		return ""
	}
	return string(text)
}

// exists tells whether there is a file, a folder or a link that is not of imagefit.
func (t tree) exists(path string) bool {
	_, err := os.Lstat(t.path(path))
	return err == nil && !t.own[path]
}

// first is the first of the paths that exists.
func (t tree) first(paths ...string) (string, bool) {
	at := slices.IndexFunc(paths, t.exists)
	if at < 0 {
		return "", false
	}
	return paths[at], true
}

// list are the files of a folder with this ending, in their order.
func (t tree) list(folder, ending string) (paths []string) {
	entries, _ := os.ReadDir(t.path(folder))
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		if !entry.IsDir() && strings.HasSuffix(path, ending) && !t.own[path] {
			paths = append(paths, path)
		}
	}
	return paths
}

// missingFolders are those that a file needs and that do not exist, the outermost first.
func (t tree) missingFolders(path string) (folders []string) {
	for dir := filepath.Dir(path); dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(t.path(dir)); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		folders = append([]string{dir}, folders...)
	}
	return folders
}
