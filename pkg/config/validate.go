package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Bounds of what makes sense.
const (
	shortest   = Duration(time.Millisecond)
	maxSizeMiB = 1 << 20
)

// validate names every value that cannot be used, not only the first.
func (c Config) validate() error {
	p := c.Policy
	return errors.Join(
		oneOf("log_level", c.LogLevel, "debug", "info", "warn", "error"),
		oneOf("policy.mode", p.Mode, Enforce, Audit),
		oneOf("policy.no_fit", p.NoFit, Refuse, Forward),
		oneOf("policy.registry_error", p.RegistryError, Refuse, Forward),
		oneOf("policy.malformed_artifact", p.MalformedArtifact, Unknown, Ignore, Unfit),
		oneOf("policy.unknown_attribute", p.UnknownAttribute, Unknown, Ignore, Unfit),
		absolute("state_dir", c.StateDir),
		absolute("facts.root", c.Facts.Root),
		absolute("select.specs_dir", c.Select.SpecsDir),
		preferences(c.Select.PreferAnnotations),
		absolute("nri.socket", c.NRI.Socket),
		folders("registry.config_path", c.Registry.ConfigPath),
		socket("runtime.endpoint", c.Runtime.Endpoint),
		socket("proxy.listen", c.Proxy.Listen),
		duration("proxy.select_timeout", c.Proxy.SelectTimeout),
		duration("proxy.drain_timeout", c.Proxy.DrainTimeout),
		duration("facts.refresh", c.Facts.Refresh),
		durationOrNone("cache.referrers_ttl", c.Cache.ReferrersTTL),
		size("cache.max_size_mib", c.Cache.MaxSizeMiB),
		notEmpty("runtime.namespace", c.Runtime.Namespace),
		notEmpty("nri.plugin_name", c.NRI.PluginName),
		notEmpty("policy.exempt_namespaces", p.ExemptNamespaces...),
		pluginIndex("nri.plugin_index", c.NRI.PluginIndex),
	)
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("key %s: %q is none of %s", key, value, strings.Join(allowed, ", "))
}

func absolute(key, path string) error {
	if filepath.IsAbs(path) {
		return nil
	}
	return fmt.Errorf("key %s: %q is no absolute path", key, path)
}

// folders takes a list as containerd does, which may be empty.
func folders(key, list string) error {
	for _, folder := range filepath.SplitList(list) {
		if err := absolute(key, folder); err != nil {
			return err
		}
	}
	return nil
}

func socket(key, endpoint string) error {
	if filepath.IsAbs(strings.TrimPrefix(endpoint, "unix://")) {
		return nil
	}
	return fmt.Errorf("key %s: %q is neither unix:///path nor an absolute path", key, endpoint)
}

// duration refuses what is too short to be meant: a bare number reads as
// nanoseconds.
func duration(key string, d Duration) error {
	if d >= shortest {
		return nil
	}
	return fmt.Errorf("key %s: %s is shorter than %s, a duration looks like \"5s\" or \"1h30m\"",
		key, time.Duration(d), time.Duration(shortest))
}

func durationOrNone(key string, d Duration) error {
	if d == 0 {
		return nil
	}
	return duration(key, d)
}

func size(key string, mib int) error {
	if mib >= 1 && mib <= maxSizeMiB {
		return nil
	}
	return fmt.Errorf("key %s: %d is not 1 to %d", key, mib, maxSizeMiB)
}

func notEmpty(key string, values ...string) error {
	if slices.Contains(values, "") {
		return fmt.Errorf("key %s: must not be empty", key)
	}
	return nil
}

func pluginIndex(key, index string) error {
	if len(index) == 2 && strings.Trim(index, "0123456789") == "" {
		return nil
	}
	return fmt.Errorf("key %s: %q is not two digits", key, index)
}

const maxWeight = 1000

func preferences(list []Preference) error {
	var errs []error
	for i, p := range list {
		if p.Key == "" || p.Weight < 1 || p.Weight > maxWeight {
			errs = append(errs, fmt.Errorf("key select.prefer_annotations: entry %d needs a key and a weight from 1 to %d", i+1, maxWeight))
		}
	}
	return errors.Join(errs...)
}
