package registry

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/containerd/log"
	"github.com/distribution/reference"
)

// Options say how to reach registries.
type Options struct {
	// HostsPath is the folder with a folder per registry that holds hosts.toml,
	// or a list of such folders, in the form of filepath.SplitList. Empty or
	// missing means that every registry is asked directly.
	HostsPath string
	// Tables are those of the runtime's own configuration.
	Tables Tables
	// UserAgent is sent with each request. Empty means "imagefit".
	UserAgent string
	// Log gets warnings about hosts.toml and about hosts that are skipped.
	Log *slog.Logger
	// Observe, if set, is told of each host that was asked for something: what for
	// (the Op of an Error), what came of it and how long it took, logging in
	// included. It is called by many goroutines.
	Observe func(op string, err error, took time.Duration)
	// Trace, if set, is told of each HTTP request. It is called by many goroutines.
	Trace func(Request)
}

// Registry reaches every registry this node knows. It is safe for use by many
// goroutines and meant to live as long as the process.
type Registry struct {
	where      atomic.Pointer[where]
	userAgent  string
	log        *slog.Logger
	observe    func(op string, err error, took time.Duration)
	logger     *log.Entry
	transports *transports
	withoutAPI *memory // hosts without the referrers API
	withAPI    *memory // hosts that have it: a page in its place shows no lack
	breaker    *breaker
	grants     *grants // to the credentials of earlier pulls
}

// New returns a Registry. Nothing is read or connected before the first pull.
func New(o Options) *Registry { return newRegistry(o, time.Now) }

func newRegistry(o Options, now func() time.Time) *Registry {
	if o.UserAgent == "" {
		o.UserAgent = "imagefit"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(string, error, time.Duration) {}
	}
	r := &Registry{
		userAgent:  o.UserAgent,
		log:        o.Log,
		observe:    o.Observe,
		logger:     newQuietLogger(o.Log),
		transports: &transports{now: now, forbidden: isInside, trace: o.Trace, kept: map[string]*transport{}},
		withoutAPI: newMemory(now),
		withAPI:    newMemory(now),
		breaker:    newBreaker(o.Log),
		grants:     newGrants(now),
	}
	r.SetHosts(o.HostsPath, o.Tables)
	return r
}

// where is what says where registries are.
type where struct {
	dirs   []string
	tables Tables
}

// SetHosts changes Options.HostsPath and Options.Tables for the pulls from now on.
func (r *Registry) SetHosts(path string, tables Tables) {
	r.grants.kept.Purge()
	r.where.Store(&where{dirs: filepath.SplitList(path), tables: tables})
}

// UserAgent is how a program names itself to registries, for their logs.
func UserAgent(version string) string {
	return filepath.Base(os.Args[0]) + "/" + version + " (imagefit)"
}

// Forget forgets which hosts did not answer in time, which have no referrers API, and
// the tokens of earlier pulls.
func (r *Registry) Forget() {
	r.grants.kept.Purge()
	r.breaker.reset()
	r.withoutAPI.forget()
}

// Breaker tells which hosts do not answer, and how often that was so.
func (r *Registry) Breaker() BreakerStats { return r.breaker.stats() }

// Close ends what is done in the background, and idle connections; those in use end on
// their own. The Registry can still be used afterwards.
func (r *Registry) Close() {
	r.breaker.close()
	r.transports.close()
}

// Repository prepares one pull of ref, which must be normalised. Only its
// registry and path matter here. auth may be nil.
func (r *Registry) Repository(ref reference.Named, auth *Auth) (*Repository, error) {
	registry, repository := reference.Domain(ref), reference.Path(ref)
	hosts, paths, err := r.hostsOf(registry, ref, auth)
	if err != nil {
		return nil, err
	}
	if paths == nil {
		paths = r.rewrites(registry, repository, hosts)
	}
	return &Repository{registry: registry, path: repository, hosts: hosts, paths: paths, owner: r}, nil
}

// TagOrDigest is what of a normalised reference a registry is asked for: its
// digest, else its tag.
func TagOrDigest(named reference.Named) string {
	switch n := named.(type) {
	case reference.Digested:
		return n.Digest().String()
	case reference.Tagged:
		return n.Tag()
	default:
		return "latest" // a normalised reference has one of the two
	}
}
