package inspect

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	oras "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
)

const headerTimeout = time.Minute

// Remote is a repository of images in a registry.
type Remote struct {
	repo *remote.Repository
	base *http.Transport
}

// NewRemote returns the repository of an image. Registries on this machine are
// spoken to in plain HTTP. credentials may be nil.
func NewRemote(named reference.Named, credentials *registry.Auth, userAgent string) *Remote {
	host := reference.Domain(named)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = headerTimeout
	client := &auth.Client{
		Client: &http.Client{Transport: retry.NewTransport(transport)},
		Header: http.Header{"User-Agent": {userAgent}},
		Cache:  auth.NewCache(),
	}
	if credentials != nil {
		client.Credential = auth.StaticCredential(host, auth.Credential{
			Username: credentials.Username, Password: credentials.Password, RefreshToken: credentials.IdentityToken,
		})
	}
	return &Remote{base: transport, repo: &remote.Repository{
		Client:           client,
		Reference:        oras.Reference{Registry: host, Repository: reference.Path(named)},
		PlainHTTP:        isLoopback(host),
		MaxMetadataBytes: maxManifest,
	}}
}

func isLoopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// Resolve asks what a tag or digest is.
func (r *Remote) Resolve(ctx context.Context, named reference.Named) (ocispec.Descriptor, error) {
	return r.repo.Resolve(ctx, registry.TagOrDigest(named))
}

// Open implements Source.
func (r *Remote) Open(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if index.IsManifest(d.MediaType) || index.IsIndex(d.MediaType) {
		return r.repo.Manifests().Fetch(ctx, d)
	}
	return r.repo.Blobs().Fetch(ctx, d)
}

// Close ends idle connections.
func (r *Remote) Close() { r.base.CloseIdleConnections() }
