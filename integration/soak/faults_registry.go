package soak

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// registryFaults are what registries do wrong. Only what the registry says of images is the tenants' own.
func registryFaults() []fault {
	injected := func(name string, trouble trouble, f stack.Fault) fault {
		return fault{name, trouble, func(_ context.Context, n *node, _ *rand.Rand) (func() error, error) {
			remove := n.registry.Inject(f)
			return both(func() error { remove(); return nil }, n.forgetFailures), nil
		}}
	}
	return []fault{
		injected("referrers hang", registryPartly, stack.Fault{Path: "/referrers/", Hang: true}),
		injected("referrers fail (500)", registryPartly, stack.Fault{Path: "/referrers/", Status: http.StatusInternalServerError}),
		injected("too many requests (429)", registryPartly|registryAway, stack.Fault{Status: http.StatusTooManyRequests}),
		injected("the registry is slow", registryPartly, stack.Fault{Delay: 300 * time.Millisecond}),
		injected("manifests arrive damaged", registryPartly|registryAway|registryLies, stack.Fault{Path: "/manifests/", Corrupt: true}),
		injected("blobs arrive damaged", registryPartly|registryAway|registryLies, stack.Fault{Path: "/blobs/", Corrupt: true}),
		injected("blobs are denied (403)", registryPartly|registryAway, stack.Fault{Path: "/blobs/", Status: http.StatusForbidden}),
		injected("the registry is down", registryPartly|registryAway, stack.Fault{Status: http.StatusServiceUnavailable}),
		injected("redirects lead nowhere", registryPartly|registryAway, stack.Fault{Path: "/(referrers|blobs)/", Redirect: "http://127.0.0.1:1/"}),
		{"a page of HTML for everything", registryPartly | registryAway | registryLies, lying(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>log in</html>"))
			return true
		})},
		{"connections are cut", registryPartly | registryAway, lying(func(_ http.ResponseWriter, _ *http.Request) bool {
			panic(http.ErrAbortHandler)
		})},
		{"lists of referrers without end", registryPartly | registryLies, lying(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			_, _ = w.Write([]byte(`{"schemaVersion":2,"manifests":[{}` + strings.Repeat(",{}", 1<<20) + `]}`))
			return true
		})},
	}
}

// lying lets a handler answer in place of the registry.
func lying(handler func(http.ResponseWriter, *http.Request) bool) func(context.Context, *node, *rand.Rand) (func() error, error) {
	return func(_ context.Context, n *node, _ *rand.Rand) (func() error, error) {
		n.registry.Intercept(handler)
		return both(func() error { n.registry.Intercept(nil); return nil }, n.forgetFailures), nil
	}
}
