package registry

import (
	"net/http"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// opResolve is the operation that asks what a reference is.
const opResolve = "resolve"

// hostsFor picks the hosts that may answer a request, as places in the repository's
// list, in the order in which they are to be asked. As containerd does, it wants both
// pull and resolve for a tag.
func (c *call) hostsFor(req *http.Request) []int {
	switch {
	case c.kind == fetching:
		return c.able(docker.HostCapabilityPull)
	case c.asksAPI(req):
		return c.apiHosts()
	case c.kind == referring:
		return c.referringHosts()
	case c.kind == listing:
		return c.listingHosts()
	}
	return c.able(docker.HostCapabilityPull | docker.HostCapabilityResolve)
}

// referringHosts are the hosts to ask for referrers. First is the one that resolved the
// reference: referrers are an extension of pull to most mirrors that have them, and a
// host that is trusted with a name is trusted with what belongs to it. Its answer is the
// answer; other mirrors with the capability may only have what it lacks. Where the
// reference was not resolved before, each host that could have done so is asked.
func (c *call) referringHosts() []int {
	const resolves = docker.HostCapabilityPull | docker.HostCapabilityResolve
	resolver, resolved := c.repo.resolver()
	var hosts []int
	for _, i := range c.able(0) {
		caps := c.repo.hosts[i].Capabilities
		switch {
		case resolved && i == resolver && (caps.Has(resolves) || caps.Has(docker.HostCapabilityReferrers)):
			hosts = append([]int{i}, hosts...)
		case resolved && i == resolver: // it may have content, which can be verified, and nothing else
		case caps.Has(docker.HostCapabilityReferrers), !resolved && caps.Has(resolves):
			hosts = append(hosts, i)
		}
	}
	return hosts
}

// apiHosts are the hosts to ask for the referrers API: those that may and are
// not known to lack it, and for a second page only the one that gave the first.
func (c *call) apiHosts() []int {
	if c.pages != nil {
		return []int{*c.pages}
	}
	var hosts []int
	for _, i := range c.referringHosts() {
		if !c.repo.owner.withoutAPI.has(c.repo.memoryKey(c.repo.hosts[i])) {
			hosts = append(hosts, i)
		}
	}
	return hosts
}

// able are the hosts with capabilities. The registry itself is the last of all hosts.
// Behind mirrors, it is asked for nothing but the reference unless the pull asks it too:
// names of private repositories are not for everyone to see, and where it cannot be
// reached at all, the attempt would cost the time of the pull.
func (c *call) able(caps docker.HostCapabilities) []int {
	resolver, resolved := c.repo.resolver()
	var hosts []int
	for i, host := range c.repo.hosts {
		upstream := i == len(c.repo.hosts)-1
		if upstream && resolved && resolver != i && c.op != opResolve {
			continue
		}
		if host.Capabilities.Has(caps) {
			hosts = append(hosts, i)
		}
	}
	return hosts
}

// resolver is the host that resolved the reference of this pull.
func (p *Repository) resolver() (host int, resolved bool) {
	host = int(p.resolvedBy.Load()) - 1
	return host, host >= 0
}

func (p *Repository) setResolver(host int) { p.resolvedBy.Store(int64(host) + 1) }

// isSettled tells whether a host's answer about referrers is final: it is that of the
// host that resolved the reference.
func (c *call) isSettled(host int) bool {
	resolver, resolved := c.repo.resolver()
	return c.kind == referring && resolved && host == resolver
}
