package attach

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	oras "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/imagefit/imagefit/pkg/registry"
)

const (
	maxManifest   = 4 << 20
	headerTimeout = time.Minute // registries look at a manifest before they answer
)

// Target is a repository that artifacts are pushed to.
type Target struct {
	repo  *remote.Repository
	host  string
	base  *http.Transport
	watch *watch
}

// NewTarget returns the repository of an image. Registries on this machine are
// spoken to in plain HTTP. credentials may be nil.
func NewTarget(named reference.Named, credentials *registry.Auth, userAgent string) *Target {
	host := reference.Domain(named)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = headerTimeout
	t := &Target{host: host, base: transport, watch: &watch{next: retry.NewTransport(transport)}}
	client := &auth.Client{
		Client: &http.Client{Transport: t.watch},
		Header: http.Header{"User-Agent": {userAgent}},
		Cache:  auth.NewCache(),
	}
	if credentials != nil {
		client.Credential = auth.StaticCredential(host, auth.Credential{
			Username: credentials.Username, Password: credentials.Password, RefreshToken: credentials.IdentityToken,
		})
	}
	t.repo = &remote.Repository{
		Client:    client,
		Reference: oras.Reference{Registry: host, Repository: reference.Path(named)},
		PlainHTTP: isLoopback(host),
		// Many registries do not let clients delete, and would fail here when the list
		// of referrers under the tag has been replaced already.
		SkipReferrersGC:  true,
		MaxMetadataBytes: maxManifest,
	}
	return t
}

func isLoopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// Push uploads the artifact. step is told of each part that takes time. Where the
// registry has no referrers API, oras-go keeps the list under the referrers tag.
func (t *Target) Push(ctx context.Context, p Packed, step func(string)) error {
	blobs := []struct {
		name string
		desc ocispec.Descriptor
		data []byte
	}{
		{"the empty config", ocispec.DescriptorEmptyJSON, ocispec.DescriptorEmptyJSON.Data},
		{"the layer", p.Layer, p.body},
	}
	for _, b := range blobs {
		there, err := t.repo.Blobs().Exists(ctx, b.desc)
		if err != nil {
			return t.failed("look for "+b.name, err)
		}
		if there {
			step(fmt.Sprintf("%s exists already", b.name))
			continue
		}
		step(fmt.Sprintf("push %s, %d bytes", b.name, b.desc.Size))
		if err := t.repo.Blobs().Push(ctx, b.desc, bytes.NewReader(b.data)); err != nil {
			return t.failed("push "+b.name, err)
		}
	}
	step(fmt.Sprintf("push the manifest, %d bytes", p.Descriptor.Size))
	if err := t.repo.Manifests().Push(ctx, p.Descriptor, bytes.NewReader(p.Manifest)); err != nil {
		if t.watch.manifest.Load() {
			return t.failed("list the artifact under the referrers tag (its manifest is pushed)", err)
		}
		return t.failed("push the manifest", err)
	}
	return nil
}

// UsedTag reports whether the registry has no referrers API, so that Push wrote
// the referrers tag.
func (t *Target) UsedTag() bool { return t.watch.tag.Load() }

// Delete deletes an artifact, after Push. Where the list of referrers is kept
// under a tag, the artifact leaves that list even if the registry keeps it.
func (t *Target) Delete(ctx context.Context, artifact ocispec.Descriptor) error {
	err := t.repo.Manifests().Delete(ctx, artifact)
	if err == nil || errors.Is(err, errdef.ErrNotFound) {
		return nil
	}
	return t.failed("delete "+artifact.Digest.String(), err)
}

// Close ends idle connections.
func (t *Target) Close() { t.base.CloseIdleConnections() }

// watch sees which manifests the registry took: oras-go does not tell whether
// it wrote the referrers tag.
type watch struct {
	next          http.RoundTripper
	manifest, tag atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (w *watch) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxManifest+1), resp.Body}
	if req.Method == http.MethodPut && resp.StatusCode/100 == 2 && path.Base(path.Dir(req.URL.Path)) == "manifests" {
		if strings.Contains(path.Base(req.URL.Path), ":") {
			w.manifest.Store(true)
		} else {
			w.tag.Store(true)
		}
	}
	return resp, nil
}
