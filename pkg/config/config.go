package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/imagefit/imagefit/pkg/tomlerr"
)

// DefaultPath is where the configuration is looked for.
const DefaultPath = "/etc/imagefit/config.toml"

// version is the version of the file's shape that this imagefit reads.
const version = 1

// maxFile bounds what is read of a configuration file.
const maxFile = 1 << 20

// Config is the whole of config.toml. config.toml.example explains each key.
type Config struct {
	Version  int      `toml:"version"`
	StateDir string   `toml:"state_dir"`
	LogLevel string   `toml:"log_level"`
	Runtime  Runtime  `toml:"runtime"`
	Proxy    Proxy    `toml:"proxy"`
	Registry Registry `toml:"registry"`
	Cache    Cache    `toml:"cache"`
	Select   Select   `toml:"select"`
	Facts    Facts    `toml:"facts"`
	NRI      NRI      `toml:"nri"`
	Policy   Policy   `toml:"policy"`
}

// Runtime is the container runtime behind the proxy.
type Runtime struct {
	Endpoint  string `toml:"endpoint"`
	Namespace string `toml:"namespace"`
}

// Proxy is the socket that the kubelet talks to.
type Proxy struct {
	Listen        string   `toml:"listen"`
	SelectTimeout Duration `toml:"select_timeout"`
	DrainTimeout  Duration `toml:"drain_timeout"`
}

// Registry says how registries are reached.
type Registry struct {
	ConfigPath string `toml:"config_path"`
}

// Cache bounds what is kept in the state folder.
type Cache struct {
	ReferrersTTL Duration `toml:"referrers_ttl"`
	MaxSizeMiB   int      `toml:"max_size_mib"`
}

// Select says what counts when a variant is chosen.
type Select struct {
	SpecsDir          string       `toml:"specs_dir"`
	PreferAnnotations []Preference `toml:"prefer_annotations"`
	NVIDIARequire     bool         `toml:"nvidia_require"`
}

// Preference is an annotation of index entries that is worth something here.
type Preference struct {
	Key    string `toml:"key"`
	Value  string `toml:"value"`
	Weight int    `toml:"weight"`
}

// Facts says where facts come from and how often they are looked at again.
type Facts struct {
	Root    string   `toml:"root"`
	Refresh Duration `toml:"refresh"`
}

// NRI is how the plugin meets the runtime.
type NRI struct {
	Socket      string `toml:"socket"`
	PluginName  string `toml:"plugin_name"`
	PluginIndex string `toml:"plugin_index"`
}

// Policy says what follows when something is missing or does not fit.
type Policy struct {
	Mode              string   `toml:"mode"`
	ExemptNamespaces  []string `toml:"exempt_namespaces"`
	ExemptStaticPods  bool     `toml:"exempt_static_pods"`
	NoFit             string   `toml:"no_fit"`
	RegistryError     string   `toml:"registry_error"`
	MalformedArtifact string   `toml:"malformed_artifact"`
	UnknownAttribute  string   `toml:"unknown_attribute"`
}

// The values that policies take.
const (
	Enforce = "enforce" // mode: decide and act
	Audit   = "audit"   // mode: decide, log, change nothing
	Refuse  = "refuse"  // no_fit, registry_error: answer with an error
	Forward = "forward" // no_fit, registry_error: go on as without imagefit
	Unknown = "unknown" // malformed_artifact, unknown_attribute: rank behind what is known
	Ignore  = "ignore"  // malformed_artifact, unknown_attribute: as if it were not there
	Unfit   = "unfit"   // malformed_artifact, unknown_attribute: the candidate does not fit
)

// Duration is a time span written as "5s" or "1h30m".
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration such as \"5s\" or \"1h30m\"", text)
	}
	*d = Duration(parsed)
	return nil
}

// Default returns the configuration that holds where the file says nothing.
func Default() Config {
	return Config{
		Version:  version,
		StateDir: "/var/lib/imagefit",
		LogLevel: "info",
		Runtime:  Runtime{Endpoint: "unix:///run/containerd/containerd.sock", Namespace: "k8s.io"},
		Proxy: Proxy{
			Listen:        "unix:///run/imagefit/cri-proxy.sock",
			SelectTimeout: Duration(5 * time.Second),
			DrainTimeout:  Duration(5 * time.Minute),
		},
		Registry: Registry{ConfigPath: "/etc/containerd/certs.d"},
		Cache:    Cache{ReferrersTTL: Duration(time.Minute), MaxSizeMiB: 256},
		Select:   Select{SpecsDir: "/etc/imagefit/specs.d", PreferAnnotations: []Preference{}},
		Facts:    Facts{Root: "/", Refresh: Duration(time.Minute)},
		NRI:      NRI{Socket: "/var/run/nri/nri.sock", PluginName: "imagefit", PluginIndex: "10"},
		Policy: Policy{
			Mode:              Enforce,
			ExemptNamespaces:  []string{"kube-system"},
			ExemptStaticPods:  true,
			NoFit:             Refuse,
			RegistryError:     Forward,
			MalformedArtifact: Unknown,
			UnknownAttribute:  Unknown,
		},
	}
}

// Load reads and validates the file at path. The file at DefaultPath need not
// exist: the defaults hold then.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && path == DefaultPath {
		return Default(), nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("open configuration: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
	}
	if len(text) > maxFile {
		return Config{}, fmt.Errorf("read configuration %s: larger than %d bytes", path, maxFile)
	}
	c, err := Parse(string(text))
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// Parse reads a configuration over the defaults and validates it. Errors name
// row, column and key.
func Parse(text string) (Config, error) {
	c := Default()
	c.Version = 0
	err := tomlerr.Decode([]byte(text), &c)
	if err != nil && !errors.Is(err, tomlerr.ErrUnknownKey) {
		return Config{}, err
	}
	if c.Version != version { // a later shape has keys that are unknown here
		return Config{}, fmt.Errorf("version is %d, expected %d as the first line: version = %d", c.Version, version, version)
	}
	if err := errors.Join(err, c.validate()); err != nil {
		return Config{}, err
	}
	return c, nil
}
