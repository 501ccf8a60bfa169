package health

import "time"

// Schema is the version of Status. Keys are only ever added to it.
const Schema = 1

// Status is what /status returns. Any user of the node may read it, so it never
// has names of images or pods, or anything secret.
type Status struct {
	Schema  int       `json:"schema"`
	Program string    `json:"program"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Ready   bool      `json:"ready"`
	Checks  []Result  `json:"checks"`
	Mode    string    `json:"mode"` // of the policy: enforce or audit

	Config    ConfigStatus      `json:"config"`
	Facts     FactsStatus       `json:"facts"`
	Cache     CacheStatus       `json:"cache"`
	Decisions map[string]uint64 `json:"decisions"` // since the start, by action

	// SilentHosts did not answer in time: pulls do not wait for them.
	SilentHosts []SilentHost   `json:"silent_hosts"`
	Names       *NamesStatus   `json:"names,omitempty"`   // of cri-proxy
	Clients     []ClientStatus `json:"clients,omitempty"` // of cri-proxy, the latest image call first
	NRI         *NRIStatus     `json:"nri,omitempty"`     // of nri-plugin
	Audit       *AuditStatus   `json:"audit,omitempty"`   // missing before the first audit
}

// NRIStatus is the connection of nri-plugin to the runtime.
type NRIStatus struct {
	Connected   bool   `json:"connected"`   // the runtime asks the plugin before it creates a container
	Sessions    uint64 `json:"sessions"`    // how often it was connected since its start
	Disconnects uint64 `json:"disconnects"` // how often the runtime ended that
}

// AuditStatus counts what an audit found about the containers that run on the node and
// the names of its images, by verdict: refused, tolerated, unchecked or admitted.
type AuditStatus struct {
	Time       time.Time      `json:"time"`
	Containers map[string]int `json:"containers"`
	Images     map[string]int `json:"images"`
}

// NamesStatus is who keeps the names of images.
type NamesStatus struct {
	Keeper string `json:"keeper"` // of tags: runtime or proxy
	Reason string `json:"reason"`
	Kept   int    `json:"kept"` // names that the proxy keeps, digests of indexes among them
}

// ClientStatus is a process that calls cri-proxy.
type ClientStatus struct {
	Process       string     `json:"process,omitempty"` // its name, where it is known
	PID           int        `json:"pid,omitempty"`     // the latest
	Calls         uint64     `json:"calls"`
	ImageCalls    uint64     `json:"image_calls"` // of CRI's image service
	LastImageCall *time.Time `json:"last_image_call,omitempty"`
}

// ConfigStatus is the state of the configuration.
type ConfigStatus struct {
	Loaded time.Time `json:"loaded"` // when the one in effect was loaded
	Failed bool      `json:"failed"` // whether a later reload failed
}

// FactsStatus is how old the facts are.
type FactsStatus struct {
	Refreshed   time.Time `json:"refreshed"`
	Changes     uint64    `json:"changes"`
	Fingerprint string    `json:"fingerprint"`
}

// SilentHost is a registry host for which the breaker is open.
type SilentHost struct {
	Host     string    `json:"host"`
	Registry string    `json:"registry"` // of the references
	Since    time.Time `json:"since"`
}

// CacheStatus is the size of the state directory.
type CacheStatus struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	Limit int64 `json:"limit_bytes"`
}
