package config

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/policy"
)

// maxKept bounds the file of the last valid configuration, which has the origin of each
// value beside it.
const maxKept = 4 * maxFile

// Usable is a configuration that a program can work with, whatever the sources are like.
type Usable struct {
	Config Config
	Loaded *Loaded // the sources; nil when they cannot be loaded
	Err    error   // why they cannot be
	// Since is when Config was last loaded, where it is the last valid one. It is zero
	// where Config is what can be read of the sources, in mode audit: nothing is refused,
	// and every pull is forwarded unchanged.
	Since time.Time
}

// LoadUsable loads the sources. If that is not possible it returns the last valid
// configuration of one of the programs, or else what can be read.
func (s Sources) LoadUsable(programs ...string) Usable {
	loaded, err := s.Load()
	if err == nil {
		return Usable{Config: loaded.Config, Loaded: loaded}
	}
	usable := Usable{Config: s.salvage(), Err: err}
	for _, program := range programs {
		kept, since, err := readKept(keptPath(usable.Config.StateDir, program))
		if err == nil {
			usable.Config, usable.Since = kept, since
			return usable
		}
	}
	usable.Config.Policy.Mode = policy.Audit
	clear(usable.Config.Policy.Repositories)
	clear(usable.Config.Policy.Namespaces)
	return usable
}

// Keep writes the configuration down as the last valid one of a program.
func (l *Loaded) Keep(program string) error {
	path := keptPath(l.Config.StateDir, program)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep the configuration: %w", err)
	}
	text := fmt.Sprintf("# The last valid configuration of %s, which it uses when a later one cannot be loaded.\n%s", program, l.TOML())
	err := fsutil.WriteAtomic(path, fsutil.WriteOptions{Sync: true}, fsutil.Bytes([]byte(text)))
	if err != nil {
		return fmt.Errorf("keep the configuration: %w", err)
	}
	return nil
}

func keptPath(stateDir, program string) string {
	return filepath.Join(stateDir, "config", program+".toml")
}

func readKept(path string) (Config, time.Time, error) {
	text, err := fsutil.ReadFile(path, maxKept)
	if err != nil {
		return Config{}, time.Time{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Config{}, time.Time{}, err
	}
	loaded, err := load([]layer{{source: path, text: text, rows: true, versioned: true}})
	if err != nil {
		return Config{}, time.Time{}, err
	}
	return loaded.Config, info.ModTime(), nil
}
