package wiring

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/trust"
)

// maxKeys bounds the keys of one rule, and maxKeyFiles the files that patterns name.
const (
	maxKeys     = 32
	maxKeyFiles = 256
)

// Trust returns whose metadata counts. A key that cannot be read is skipped, with the
// reason: what it signed does not count then, while that of other keys does.
func Trust(cfg config.Trust) (rules *trust.Rules, skipped []error) {
	rules = &trust.Rules{Repositories: map[string]trust.Rule{}}
	rules.Rule, skipped = trustRule(cfg.TrustRule)
	for _, prefix := range slices.Sorted(maps.Keys(cfg.Repositories)) {
		rule, problems := trustRule(cfg.For(prefix))
		rules.Repositories[prefix] = rule
		for _, problem := range problems {
			skipped = append(skipped, fmt.Errorf("trust.repositories.%q: %w", prefix, problem))
		}
	}
	return rules, skipped
}

func trustRule(cfg config.TrustRule) (rule trust.Rule, skipped []error) {
	rule.Signed = cfg.Metadata == config.Signed
	if cfg.MinCreated != "" {
		rule.MinCreated, _ = time.Parse(time.RFC3339, cfg.MinCreated) // it was checked
	}
	rule.Keys, skipped = TrustedKeys(cfg.Keys)
	if rule.Signed && len(rule.Keys) == 0 {
		skipped = append(skipped, errors.New("no key is trusted: all metadata counts as unsigned and is ignored (trust.metadata = \"signed\"); see trust.keys"))
	}
	return rule, skipped
}

// TrustedKeys reads the public keys of files. A file that cannot be read is skipped, with
// the reason.
func TrustedKeys(patterns []string) (keys []trust.Key, skipped []error) {
	for _, pattern := range patterns {
		files := keyFiles([]string{pattern})
		if len(files) == 0 {
			skipped = append(skipped, fmt.Errorf("read public keys: no file matches %s", pattern))
		}
		for _, file := range files {
			text, err := fsutil.ReadFile(file, trust.MaxKeyFile)
			var found []trust.Key
			if err == nil {
				if found, err = trust.ParseKeys(filepath.Base(file), text); err != nil {
					err = fmt.Errorf("%s: %w", file, err)
				}
			}
			if err != nil {
				skipped = append(skipped, fmt.Errorf("read public key: %w", err))
			}
			for _, key := range found {
				known := slices.ContainsFunc(keys, func(k trust.Key) bool { return k.ID == key.ID })
				switch {
				case known:
				case len(keys) == maxKeys:
					return keys, append(skipped, fmt.Errorf("read public key %s: only the first %d keys are used", file, maxKeys))
				default:
					keys = append(keys, key)
				}
			}
		}
	}
	return keys, skipped
}

// keyFiles lists the files that patterns name.
func keyFiles(patterns []string) []string {
	var files []string
	for _, pattern := range patterns {
		matches, _ := filepath.Glob(pattern) // the configuration was checked
		files = append(files, matches...)
	}
	slices.Sort(files)
	files = slices.Compact(files)
	return files[:min(len(files), maxKeyFiles)]
}

// allKeyFiles lists the files that the configuration names.
func allKeyFiles(cfg config.Trust) []string {
	patterns := slices.Clone(cfg.Keys)
	for _, rule := range cfg.Repositories {
		patterns = append(patterns, rule.Keys...)
	}
	return keyFiles(patterns)
}
