package registry

import (
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

const (
	memoryTime = time.Hour
	doubtTime  = time.Minute
	maxMemory  = 1024
)

// memory knows which hosts were found to have no referrers API, so that not
// every pull asks again, and which to have one, so that a page in its place is not
// taken for a lack. It forgets after an hour: registries get upgraded.
type memory struct {
	now func() time.Time

	mu         sync.Mutex
	lacks, has map[string]time.Time // until when
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, lacks: map[string]time.Time{}, has: map[string]time.Time{}}
}

// memoryKey names what shares one answer: a host and the first element of the
// repository's path. Harbor, Artifactory and others keep projects of different
// kinds on one host, and a proxy project without the API must not hide the
// artifacts of its neighbours.
func memoryKey(host docker.RegistryHost, path string) string {
	project, _, nested := strings.Cut(path, "/")
	if !nested {
		project = ""
	}
	return host.Scheme + "://" + host.Host + host.Path + " " + project
}

func (m *memory) isLacking(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now().Before(m.lacks[key])
}

func (m *memory) setLacking(key string) { m.keep(m.lacks, key, memoryTime) }

// doubt remembers a lack for a short while only: the sign of it may as well be that of
// a registry, or of something before it, that is out of order.
func (m *memory) doubt(key string) { m.keep(m.lacks, key, doubtTime) }

func (m *memory) hasAPI(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now().Before(m.has[key])
}

func (m *memory) setHaving(key string) { m.keep(m.has, key, memoryTime) }

func (m *memory) keep(until map[string]time.Time, key string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(until) >= maxMemory {
		clear(until) // costs one extra request per host, and stays small
	}
	until[key] = m.now().Add(d)
}
