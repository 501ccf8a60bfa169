package crio

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/registry"
)

const (
	maxRegistriesFile = 1 << 20
	maxDropIns        = 256
	maxEntries        = 10000
)

// The values of pull-from-mirror.
const (
	byDigestOnly = "digest-only"
	byTagOnly    = "tag-only"
)

// registriesFile is containers-registries.conf(5), version 2.
type registriesFile struct {
	Registries    []registryTable   `toml:"registry"`
	Search        []string          `toml:"unqualified-search-registries"`
	ShortNameMode string            `toml:"short-name-mode"`
	Aliases       map[string]string `toml:"aliases"`
}

type registryTable struct {
	Prefix       string        `toml:"prefix"`
	Location     string        `toml:"location"`
	Insecure     bool          `toml:"insecure"`
	Blocked      bool          `toml:"blocked"`
	ByDigestOnly bool          `toml:"mirror-by-digest-only"`
	Mirrors      []mirrorTable `toml:"mirror"`
}

type mirrorTable struct {
	Location string `toml:"location"`
	Insecure bool   `toml:"insecure"`
	From     string `toml:"pull-from-mirror"`
}

// readRegistries reads registries.conf and its drop-ins, where the later of two tables
// with one prefix replaces the earlier, and the later of two lists too. A file that is not
// there says nothing.
func readRegistries(path string) (registry.Containers, error) {
	dropIns, failed := filepath.Glob(filepath.Join(path+".d", "*.conf"))
	slices.Sort(dropIns)
	if len(dropIns) > maxDropIns {
		failed = fmt.Errorf("read %s.d: more than %d files", path, maxDropIns)
		dropIns = dropIns[:maxDropIns]
	}
	merged := registry.Containers{Aliases: map[string]string{}}
	for _, file := range append([]string{path}, dropIns...) {
		one, err := readRegistriesFile(file)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, table := range one.Registries {
			merged.Registries = slices.DeleteFunc(merged.Registries, func(old registry.ContainersRegistry) bool { return old.Prefix == table.key() })
			merged.Registries = append(merged.Registries, table.entry())
		}
		if one.Search != nil {
			merged.Search = one.Search
		}
		for name, target := range one.Aliases {
			merged.Aliases[name] = target
		}
	}
	return merged, failed
}

func readRegistriesFile(path string) (registriesFile, error) {
	var file registriesFile
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return file, nil
	} else if err == nil && info.IsDir() {
		return file, nil
	}
	text, err := fsutil.ReadFile(path, maxRegistriesFile)
	if err != nil {
		return file, fmt.Errorf("read registries.conf: %w", err)
	}
	if err := toml.Unmarshal(text, &file); err != nil {
		return registriesFile{}, fmt.Errorf("read %s: %w", path, err)
	}
	if len(file.Registries) > maxEntries || len(file.Aliases) > maxEntries {
		return registriesFile{}, fmt.Errorf("read %s: more than %d entries", path, maxEntries)
	}
	return file, nil
}

// key is the prefix of the names that a table is about.
func (t registryTable) key() string {
	if t.Prefix != "" {
		return strings.TrimRight(t.Prefix, "/")
	}
	return strings.TrimRight(t.Location, "/")
}

func (t registryTable) entry() registry.ContainersRegistry {
	e := registry.ContainersRegistry{
		Prefix: t.key(), Location: strings.TrimRight(t.Location, "/"), Insecure: t.Insecure, Blocked: t.Blocked,
	}
	for _, m := range t.Mirrors {
		e.Mirrors = append(e.Mirrors, registry.ContainersMirror{
			Location: strings.TrimRight(m.Location, "/"), Insecure: m.Insecure,
			NotForTags:    t.ByDigestOnly || m.From == byDigestOnly,
			NotForDigests: m.From == byTagOnly,
		})
	}
	return e
}
