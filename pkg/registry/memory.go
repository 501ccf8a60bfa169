package registry

import (
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

const (
	memoryTime = time.Hour   // registries get upgraded
	doubtTime  = time.Minute // for what may as well be a sign that the host is out of order
	maxMemory  = 1024
)

// memory holds for a while what was found out about hosts, so that not every pull
// asks again.
type memory struct {
	now func() time.Time

	mu    sync.Mutex
	until map[string]time.Time
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, until: map[string]time.Time{}}
}

// memoryKey names what shares one answer: a host, the registry that it stands in for,
// and the first element of the repository's path. What one registry behind a shared
// mirror lacks says nothing about another. Harbor, Artifactory and others keep projects
// of different kinds on one host, and a proxy project without the API must not hide the
// artifacts of its neighbours.
func (p *Repository) memoryKey(host docker.RegistryHost) string {
	project, _, nested := strings.Cut(p.path, "/")
	if !nested {
		project = ""
	}
	return place(host) + " " + p.registry + " " + project
}

// place is where a host of hosts.toml is.
func place(host docker.RegistryHost) string { return host.Scheme + "://" + host.Host + host.Path }

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.until)
}

func (m *memory) has(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now().Before(m.until[key])
}

func (m *memory) keep(key string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.until) >= maxMemory {
		clear(m.until) // costs one extra request per host, and stays small
	}
	m.until[key] = m.now().Add(d)
}
