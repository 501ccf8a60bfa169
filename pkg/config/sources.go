package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// DefaultPath is where the configuration is looked for.
const DefaultPath = "/etc/imagefit/config.toml"

// Bounds of what is read.
const (
	maxFile    = 64 << 10 // bytes of a file
	maxDropIns = 256
)

// Sources are the places that a configuration is read from. Later ones override
// earlier ones.
type Sources struct {
	File string // the file; "" is DefaultPath, and that one need not exist
	Dir  string // the folder of drop-ins; "" is conf.d beside File, and that one need not exist
	// Given is a drop-in that the runtime hands to a plugin that it launches.
	Given string
	Env   []string // as os.Environ has it
	Set   []string // key=value, from the command line
}

// Load reads all sources and validates what they come to. A reload is to load
// again. Errors are a Problem, or several joined; nothing is half loaded.
func (s Sources) Load() (*Loaded, error) {
	file, err := s.file()
	if err != nil {
		return nil, err
	}
	dropIns, err := s.dropIns()
	if err != nil {
		return nil, err
	}
	return load(slices.Concat(file, dropIns, s.given(), fromEnv(s.Env), fromFlags(s.Set)))
}

// givenSource is what the origin of a value in Given is called.
const givenSource = "NRI plugin configuration"

func (s Sources) given() []layer {
	switch {
	case s.Given == "":
		return nil
	case len(s.Given) > maxFile:
		return []layer{{source: givenSource, err: fmt.Errorf("is larger than %d KiB", maxFile>>10)}}
	}
	return []layer{{source: givenSource, text: []byte(s.Given), rows: true}}
}

// Path is the configuration file.
func (s Sources) Path() string {
	if s.File == "" {
		return DefaultPath
	}
	return s.File
}

func (s Sources) file() ([]layer, error) {
	text, err := fsutil.ReadAny(s.Path(), maxFile)
	if errors.Is(err, fs.ErrNotExist) && s.Path() == DefaultPath {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return []layer{{source: s.Path(), text: text, rows: true, versioned: true}}, nil
}

func (s Sources) dropIns() ([]layer, error) {
	dir := s.Dir
	if dir == "" {
		dir = filepath.Join(filepath.Dir(s.Path()), "conf.d")
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) && s.Dir == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list drop-ins: %w", err)
	}
	var layers []layer
	for _, entry := range entries { // in the order of their names
		if !strings.HasSuffix(entry.Name(), ".toml") {
			continue
		}
		if len(layers) == maxDropIns {
			return nil, fmt.Errorf("list drop-ins: more than %d files *.toml in %s", maxDropIns, dir)
		}
		path := filepath.Join(dir, entry.Name())
		text, err := fsutil.ReadFile(path, maxFile)
		if err != nil {
			return nil, fmt.Errorf("read drop-in: %w", err)
		}
		layers = append(layers, layer{source: path, text: text, rows: true})
	}
	return layers, nil
}
