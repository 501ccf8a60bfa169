package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	oras "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/imagefit/imagefit/internal/textutil"
)

const (
	// namesPerPage is how many names a registry is asked for at a time.
	namesPerPage = 1_000
	// maxNames and maxNamePages bound a list of tags or repositories.
	maxNames, maxNamePages = 1_000_000, 20_000
	// maxEmptyPages bounds pages without a name in a row: registries filter pages by what an
	// account may see.
	maxEmptyPages = 100
	// maxName is more than the longest repository or tag has.
	maxName = 255
)

// catalogScope is what a token for the list of all repositories is for.
const catalogScope = "registry:catalog:*"

// Tags lists the tags of the repository and calls each with every page. The registry
// itself is asked first, and a mirror only where it does not answer: a mirror lists what
// it happens to have. A list without end is ErrTooLarge; each has then had the pages
// before. What cannot be a tag is left out.
func (p *Repository) Tags(ctx context.Context, each func(tags []string) error) error {
	c := p.newCall("list tags", listing, "")
	repo := c.remote()
	repo.TagListPageSize = namesPerPage
	pages := namePages{each: each}
	return c.listed(repo.Tags(p.context(ctx), "", pages.add))
}

// Repositories lists the repositories of a registry and calls each with every page. Many
// registries do not offer that: docker.io, ghcr.io, and to most accounts Harbor.
func (r *Registry) Repositories(ctx context.Context, registry string, auth *Auth, each func(names []string) error) error {
	hosts, err := r.hosts(registry, auth)
	if err != nil {
		return err
	}
	p := &Repository{registry: registry, hosts: hosts, owner: r}
	c := p.newCall("list repositories", listing, "")
	whole := &remote.Registry{RepositoryListPageSize: namesPerPage}
	whole.Client, whole.Reference, whole.MaxMetadataBytes = c, oras.Reference{Registry: registry}, maxBytes
	pages := namePages{each: each}
	return c.listed(whole.Repositories(p.context(ctx), "", pages.add))
}

// stoppedError carries an error of the caller's through oras-go.
type stoppedError struct{ error }

func (c *call) listed(err error) error {
	if stopped, ok := errors.AsType[stoppedError](err); ok {
		return stopped.error
	}
	return c.reading(err)
}

// namePages bounds pages of names.
type namePages struct {
	each         func([]string) error
	pages, total int
	empty        int    // pages in a row
	first        string // of the page before
}

func (n *namePages) add(names []string) error {
	n.pages++
	n.total += len(names)
	switch {
	case n.total > maxNames:
		return fmt.Errorf("%w: it has more than %d names", ErrTooLarge, maxNames)
	case n.pages > maxNamePages:
		return fmt.Errorf("%w: it has more than %d pages", ErrTooLarge, maxNamePages)
	case len(names) > 0 && n.pages > 1 && names[0] == n.first:
		return fmt.Errorf("%w: the page after %q begins with it again", ErrCorrupt, textutil.Cut(n.first, maxErrorText))
	case len(names) == 0 && n.empty == maxEmptyPages:
		return fmt.Errorf("%w: %d pages in a row have no name", ErrCorrupt, n.empty+1)
	case len(names) == 0:
		n.empty++
	default:
		n.first, n.empty = names[0], 0
	}
	kept := names[:0]
	for _, name := range names {
		if name != "" && len(name) <= maxName {
			kept = append(kept, name)
		}
	}
	if err := n.each(kept); err != nil {
		return stoppedError{err}
	}
	return nil
}

// listingHosts are the hosts to ask for names: the registry itself, then mirrors that are
// trusted with names, and for a second page only the one that gave the first.
func (c *call) listingHosts() []int {
	if c.pages != nil {
		return []int{*c.pages}
	}
	upstream := len(c.repo.hosts) - 1
	hosts := []int{upstream}
	for i, host := range c.repo.hosts[:upstream] {
		if host.Capabilities.Has(docker.HostCapabilityPull | docker.HostCapabilityResolve) {
			hosts = append(hosts, i)
		}
	}
	return hosts
}

// scoped adds what a token must be for.
func (c *call) scoped(ctx context.Context, host docker.RegistryHost) context.Context {
	if c.repo.path == "" {
		return docker.WithScope(ctx, catalogScope)
	}
	return docker.ContextWithAppendPullRepositoryScope(ctx, c.repo.pathAt(host))
}

// nextPage makes the link to the next page one to the same list at the same host,
// whatever it names: of it only the query is used.
func (c *call) nextPage(req *http.Request, resp *http.Response) error {
	link, ok := strings.CutPrefix(resp.Header.Get("Link"), "<")
	if !ok {
		resp.Header.Del("Link")
		return nil
	}
	target, _, _ := strings.Cut(link, ">")
	u, err := url.Parse(target)
	if err != nil {
		return fmt.Errorf("%w: link to next page is not a URL", ErrCorrupt)
	}
	next := *req.URL
	next.RawQuery = u.RawQuery
	resp.Header.Set("Link", "<"+next.String()+`>; rel="next"`)
	return nil
}
