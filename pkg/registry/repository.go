package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	oras "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/imagefit/imagefit/internal/textutil"
)

// Repository is one repository as seen by one pull, with that pull's
// credentials and tokens. It is safe for use by many goroutines.
type Repository struct {
	registry string // as in the reference, like docker.io
	path     string
	hosts    []docker.RegistryHost // the last one is the registry itself, the others are mirrors
	paths    map[string]string     // of the repository at hosts where it is not path
	owner    *Registry

	// namedBy is the registry whose content named this one; empty where a person did.
	namedBy string

	listed     atomic.Int64 // entries of lists of referrers so far
	resolvedBy atomic.Int64 // which of the hosts resolved the reference, from 1; 0 is unknown
}

// Resolve asks what a tag points to, or whether a digest is there. It costs one
// HEAD request, and a GET where the registry leaves out digest or size.
func (p *Repository) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	c := p.newCall(opResolve, resolving, ref)
	if d, err := digest.Parse(ref); err == nil {
		c.kind, c.want = fetching, ocispec.Descriptor{Digest: d, Size: -1}
	}
	desc, err := c.remote().Resolve(p.context(ctx), ref)
	return desc, c.reading(err)
}

// Fetch resolves like Resolve and brings the manifest along, of at most 4 MiB
// and verified, all in one GET request.
func (p *Repository) Fetch(ctx context.Context, ref string) (ocispec.Descriptor, []byte, error) {
	return p.FetchUpTo(ctx, ref, maxBytes)
}

// FetchUpTo is Fetch for a manifest of at most so many bytes.
func (p *Repository) FetchUpTo(ctx context.Context, ref string, limit int64) (ocispec.Descriptor, []byte, error) {
	c := p.newCall(opResolve, resolving, ref)
	c.limit = min(limit, maxBytes)
	if d, err := digest.Parse(ref); err == nil {
		c.kind, c.want = fetching, ocispec.Descriptor{Digest: d, Size: -1}
	}
	desc, body, err := c.remote().FetchReference(p.context(ctx), ref)
	if err != nil {
		return ocispec.Descriptor{}, nil, c.reading(err)
	}
	defer body.Close()
	if desc.Size != int64(len(c.body)) {
		return ocispec.Descriptor{}, nil, c.failed("", fmt.Errorf("%w: size is %d, want %d", ErrCorrupt, desc.Size, len(c.body)))
	}
	return desc, c.body, nil
}

// Manifest fetches a manifest or an index of at most 4 MiB and verifies it.
func (p *Repository) Manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return p.fetch(ctx, "fetch manifest", desc, func(ctx context.Context, repo *remote.Repository) (io.ReadCloser, error) {
		// By reference, because a fetch by descriptor fails where the registry's
		// Content-Type differs from the media type; the digest is what matters.
		_, body, err := repo.FetchReference(ctx, desc.Digest.String())
		return body, err
	})
}

// Blob fetches a blob of at most 4 MiB and verifies it. A larger one is
// ErrTooLarge without a request.
func (p *Repository) Blob(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return p.fetch(ctx, "fetch blob", desc, func(ctx context.Context, repo *remote.Repository) (io.ReadCloser, error) {
		return repo.Blobs().Fetch(ctx, desc)
	})
}

type opener func(context.Context, *remote.Repository) (io.ReadCloser, error)

func (p *Repository) fetch(ctx context.Context, op string, desc ocispec.Descriptor, open opener) ([]byte, error) {
	c := p.newCall(op, fetching, desc.Digest.String())
	c.want = desc
	if err := CheckDescriptor(desc); err != nil {
		return nil, c.failed("", err)
	}
	if isInlined(desc) {
		return desc.Data, nil
	}
	body, err := open(p.context(ctx), c.remote())
	if err != nil {
		return nil, c.reading(err)
	}
	return c.body, c.reading(body.Close())
}

// CheckDescriptor tells what is wrong with a descriptor that came from a registry,
// before its content is requested. Of digests only sha256 is supported, as by the
// cache.
func CheckDescriptor(desc ocispec.Descriptor) error {
	if err := desc.Digest.Validate(); err != nil || desc.Digest.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%w: digest %q is not a sha256 digest", ErrCorrupt, textutil.Cut(desc.Digest.String(), maxErrorText))
	}
	return checkSize(desc)
}

// isInlined reports whether a descriptor has its content in it, which then is not
// requested. Data that is not that content is disregarded.
func isInlined(desc ocispec.Descriptor) bool {
	return desc.Data != nil && int64(len(desc.Data)) == desc.Size && desc.Digest.Algorithm().FromBytes(desc.Data) == desc.Digest
}

func checkSize(desc ocispec.Descriptor) error {
	if desc.Size < 0 {
		return fmt.Errorf("%w: descriptor has size %d", ErrCorrupt, desc.Size)
	}
	if desc.Size > maxBytes {
		return fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, desc.Size, maxBytes)
	}
	return nil
}

// Fallback says what to do where no host has the referrers API.
type Fallback string

// The values of a Fallback.
const (
	FallbackTag   Fallback = "tag"   // ask for the tag of the referrers tag schema
	FallbackNone  Fallback = "none"  // take it that there are no referrers
	FallbackError Fallback = "error" // ErrNoReferrersAPI
)

// Referrers lists what refers to a manifest as ListReferrers does, with
// FallbackTag.
func (p *Repository) Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	listing, err := p.List(ctx, subject)
	return listing.Referrers, err
}

// List is ListReferrers with FallbackTag.
func (p *Repository) List(ctx context.Context, subject ocispec.Descriptor) (Listing, error) {
	return p.ListReferrers(ctx, subject, FallbackTag)
}

// ListReferrers lists what refers to a manifest: by the referrers API, else as
// the fallback says. Nothing there is an empty list and no error. A list of more than
// 1000 descriptors or 10 pages is incomplete, which is an answer about this manifest and
// not a failure of the registry. A referrers tag that holds the subject itself
// (GitLab), or anything else but an image index, means nothing.
//
// The registry is not asked to filter by artifact type, and nothing is filtered
// here: some registries report a wrong artifactType or none, and would filter by
// it. The caller looks into the artifacts' own manifests.
func (p *Repository) ListReferrers(ctx context.Context, subject ocispec.Descriptor, fallback Fallback) (Listing, error) {
	c := p.newCall("list referrers", referring, subject.Digest.String())
	c.subject = subject.Digest
	if err := subject.Digest.Validate(); err != nil {
		return Listing{}, c.failed("", fmt.Errorf("%w: %w", ErrCorrupt, err))
	}
	if len(c.apiHosts()) > 0 {
		found, err := c.referrers(ctx, subject, true)
		if !errors.Is(err, errdef.ErrUnsupported) {
			return found, c.reading(err)
		}
	}
	unasked := len(c.referringHosts()) == 0
	switch {
	case fallback == FallbackError:
		return Listing{NoAPI: true}, c.failed("", ErrNoReferrersAPI)
	case fallback == FallbackNone, unasked:
		return Listing{NoAPI: true, Personal: c.personal, Unasked: unasked}, nil
	}
	found, err := c.referrers(ctx, subject, false)
	found.NoAPI, found.Personal = true, c.personal
	return found, c.reading(err)
}

// referrers lists by the referrers API or by the tag schema. What oras-go gets to read
// of the list is no more than that there is one: the call has read it.
func (c *call) referrers(ctx context.Context, subject ocispec.Descriptor, api bool) (Listing, error) {
	repo := c.remote()
	if err := repo.SetReferrersCapability(api); err != nil {
		return Listing{}, err
	}
	c.list = newShortlist()
	err := repo.Referrers(c.repo.context(ctx), subject, "", func([]ocispec.Descriptor) error { return nil })
	if errors.Is(err, errdef.ErrTooManyPages) {
		c.list.incomplete, err = fmt.Sprintf("it has more than %d pages", maxPages), nil
	}
	if err != nil {
		return Listing{}, err
	}
	c.list.cut()
	return Listing{Referrers: c.list.kept, Total: c.list.total, Incomplete: c.list.incomplete}, nil
}

func (p *Repository) context(ctx context.Context) context.Context { return p.owner.quiet(ctx) }

// NamedBy says that an image of another repository named this one. Requests then lead
// away from the registry of that one, and reach nothing that is inside this machine, but
// for the hosts that the operator named.
func (p *Repository) NamedBy(other *Repository) { p.namedBy = other.registry }

// origin is the host that requests to a host are meant for.
func (p *Repository) origin(host string) string {
	if p.namedBy != "" && host == p.registry {
		return p.namedBy
	}
	return host
}

func (p *Repository) newCall(op string, kind kind, object string) *call {
	return &call{repo: p, op: op, kind: kind, object: object}
}

// remote is oras-go's view of the repository, over this call as its client. It
// is made for each call, because it keeps a state of its own about the
// referrers API.
func (c *call) remote() *remote.Repository {
	return &remote.Repository{
		Client:               c,
		Reference:            oras.Reference{Registry: c.repo.registry, Repository: c.repo.path},
		ManifestMediaTypes:   manifestTypes(),
		ReferrerListMaxPages: maxPages,
		MaxMetadataBytes:     maxBytes,
	}
}

func manifestTypes() []string {
	return []string{
		"application/vnd.docker.distribution.manifest.v2+json",
		"application/vnd.docker.distribution.manifest.list.v2+json",
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, "*/*",
	}
}

// failed makes the error of a host that gave no usable answer.
func (c *call) failed(host string, err error) *Error {
	return &Error{Op: c.op, Object: c.name(), Host: host, Kind: kindOfCause(err), Cause: err}
}

// reading makes the error of an operation: one of ours as it is, else what
// oras-go could not read in an answer.
func (c *call) reading(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Op: c.op, Object: c.name(), Kind: kindOfReading(err), Cause: err}
}

func (c *call) name() string {
	if c.object == "" {
		return strings.TrimSuffix(c.repo.registry+"/"+c.repo.path, "/")
	}
	sep := ":"
	if _, err := digest.Parse(c.object); err == nil {
		sep = "@"
	}
	return c.repo.registry + "/" + c.repo.path + sep + c.object
}
