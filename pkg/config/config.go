package config

import (
	"time"

	"github.com/imagefit/imagefit/pkg/policy"
)

// version is the version of the file's shape that this imagefit reads.
const version = 1

// Config is the whole of config.toml. config.toml.example explains each key.
//
// The tags are read by all that treats keys alike: toml is the key, check and
// words are what its values must be (see checks.go), and restart marks what a
// daemon applies only when it starts.
type Config struct {
	Version   int           `toml:"version"`
	StateDir  string        `toml:"state_dir" check:"path" restart:"yes"`
	LogLevel  string        `toml:"log_level" words:"debug,info,warn,error"`
	LogFormat string        `toml:"log_format" words:"auto,json,text" restart:"yes"`
	Runtime   Runtime       `toml:"runtime" restart:"yes"`
	Proxy     Proxy         `toml:"proxy"`
	Registry  Registry      `toml:"registry"`
	Cache     Cache         `toml:"cache"`
	Select    Selection     `toml:"select"`
	Facts     Facts         `toml:"facts" restart:"yes"`
	NRI       NRI           `toml:"nri" restart:"yes"`
	Policy    policy.Policy `toml:"policy"`
	Trust     Trust         `toml:"trust"`
	Tracing   Tracing       `toml:"tracing" restart:"yes"`

	Controller Controller `toml:"controller" restart:"yes"`
}

// Runtime is the container runtime behind the proxy.
type Runtime struct {
	Endpoint      string `toml:"endpoint" check:"socket"`
	ImageEndpoint string `toml:"image_endpoint" check:"socket or none"`
	Namespace     string `toml:"namespace" check:"name"`
	Config        string `toml:"config" check:"path"`
}

// Proxy is the socket that the kubelet talks to.
type Proxy struct {
	Listen        string   `toml:"listen" check:"socket" restart:"yes"`
	HTTPListen    string   `toml:"http_listen" check:"address" restart:"yes"`
	Names         string   `toml:"names" words:"auto,runtime,proxy"`
	SelectTimeout Duration `toml:"select_timeout" check:"duration"`
	DrainTimeout  Duration `toml:"drain_timeout" check:"duration"`
}

// Registry says how registries are reached.
type Registry struct {
	ConfigPath string `toml:"config_path" check:"folders"`
}

// HostsPath returns the folders of hosts.toml files. Those of the runtime are used
// where the configuration leaves it open; known is whether they are known for
// certain, so that "" means that it has none.
func (r Registry) HostsPath(runtime string, known bool) string {
	switch {
	case r.ConfigPath != Auto:
		return r.ConfigPath
	case runtime != "" || known:
		return runtime
	}
	return "/etc/containerd/certs.d"
}

// Cache bounds what is kept in the state folder.
type Cache struct {
	ReferrersTTL Duration `toml:"referrers_ttl" check:"duration or none"`
	StaleFor     Duration `toml:"stale_for" check:"duration or none"`
	MaxSizeMiB   int      `toml:"max_size_mib" check:"size" restart:"yes"`
}

// Selection says what matters when a variant is chosen.
type Selection struct {
	SpecsDir          string       `toml:"specs_dir" check:"path"`
	ImagesDir         string       `toml:"images_dir" check:"path"`
	PreferAnnotations []Preference `toml:"prefer_annotations"`
	NVIDIARequire     bool         `toml:"nvidia_require"`
	InheritBase       bool         `toml:"inherit_base"`
}

// Preference is an annotation of index entries that is worth something here.
type Preference struct {
	Key    string `toml:"key" json:"key" check:"name"`
	Value  string `toml:"value" json:"value,omitempty"`
	Weight int    `toml:"weight" json:"weight" check:"weight"`
}

// Facts says where facts come from and how often they are refreshed.
type Facts struct {
	Root    string   `toml:"root" check:"path"`
	Refresh Duration `toml:"refresh" check:"duration"`
}

// NRI is how the plugin meets the runtime.
type NRI struct {
	Socket      string `toml:"socket" check:"path"`
	HTTPListen  string `toml:"http_listen" check:"address"`
	PluginName  string `toml:"plugin_name" check:"name"`
	PluginIndex string `toml:"plugin_index" check:"index"`
	LookUp      bool   `toml:"look_up"`
	Credentials string `toml:"credentials" check:"path or none"`
}

// Trust says whose metadata counts.
type Trust struct {
	TrustRule
	Repositories map[string]TrustRule `toml:"repositories"`
}

// TrustRule is the part of Trust that may differ between repositories. In
// Trust.Repositories a key that is left out is that of Trust.
type TrustRule struct {
	Metadata   string   `toml:"metadata" words:"any,signed"`
	Keys       []string `toml:"keys" check:"patterns"`
	MinCreated string   `toml:"min_created" check:"time or none"`
}

// For returns the rule for the repositories with a prefix, with what it leaves out.
func (t Trust) For(prefix string) TrustRule {
	return over(t.TrustRule, t.Repositories[prefix])
}

// Tracing says where spans go.
type Tracing struct {
	Endpoint    string  `toml:"endpoint" check:"url"`
	SampleRatio float64 `toml:"sample_ratio" check:"ratio"`
}

// Controller is how imagefit-controller places the pods of a cluster.
type Controller struct {
	HTTPListen  string   `toml:"http_listen" check:"address"`
	Timeout     Duration `toml:"timeout" check:"duration"`
	ResolveTTL  Duration `toml:"resolve_ttl" check:"duration"`
	Strict      bool     `toml:"strict"`
	Credentials string   `toml:"credentials" check:"path or none"`
	PullSecrets bool     `toml:"pull_secrets"`
	// NodeFeatures has the controller label nodes by the NodeFeature objects of NFD.
	NodeFeatures bool `toml:"node_features"`
}

// The values of keys that are words.
const (
	Auto      = "auto"    // log_format: by what stderr is; registry.config_path: as the runtime has it; proxy.names: by what is on the node
	JSON      = "json"    // log_format
	Text      = "text"    // log_format
	ByRuntime = "runtime" // proxy.names
	ByProxy   = "proxy"   // proxy.names
	Signed    = "signed"  // trust.metadata
	Unsigned  = "any"     // trust.metadata
)

// Default returns the configuration that applies where no source sets a key.
func Default() Config {
	return Config{
		Version:   version,
		StateDir:  "/var/lib/imagefit",
		LogLevel:  "info",
		LogFormat: Auto,
		Runtime: Runtime{
			Endpoint: "unix:///run/containerd/containerd.sock", Namespace: "k8s.io",
			Config: "/etc/containerd/config.toml",
		},
		Proxy: Proxy{
			Listen:        "unix:///run/imagefit/cri-proxy.sock",
			HTTPListen:    "127.0.0.1:9460",
			Names:         Auto,
			SelectTimeout: Duration(5 * time.Second),
			DrainTimeout:  Duration(5 * time.Minute),
		},
		Registry: Registry{ConfigPath: Auto},
		Cache: Cache{
			ReferrersTTL: Duration(time.Minute), StaleFor: Duration(24 * time.Hour), MaxSizeMiB: 256,
		},
		Select: Selection{SpecsDir: "/etc/imagefit/specs.d", ImagesDir: "/etc/imagefit/images.d", PreferAnnotations: []Preference{}},
		Facts:  Facts{Root: "/", Refresh: Duration(time.Minute)},
		NRI: NRI{
			Socket: "/var/run/nri/nri.sock", HTTPListen: "127.0.0.1:9461",
			PluginName: "imagefit", PluginIndex: "10", LookUp: true,
		},
		Policy:  policy.Default(),
		Trust:   Trust{TrustRule: TrustRule{Metadata: Unsigned, Keys: []string{}}, Repositories: map[string]TrustRule{}},
		Tracing: Tracing{SampleRatio: 1},
		Controller: Controller{
			HTTPListen: ":9462", Timeout: Duration(5 * time.Second), ResolveTTL: Duration(5 * time.Minute),
		},
	}
}
