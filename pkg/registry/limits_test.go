package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestResolveReturnsTheDescriptorOfATag(t *testing.T) {
	t.Parallel()
	const oci = ocispec.MediaTypeImageIndex
	body := index(descOf("a"))
	want := ocispec.Descriptor{MediaType: oci, Digest: digest.FromBytes(body), Size: int64(len(body))}
	tests := []struct {
		name string
		ref  string
		hook func(w http.ResponseWriter, r *http.Request) bool
		want ocispec.Descriptor
		is   error
		asks []string
	}{
		{name: "tag", ref: "1", want: want, asks: []string{"HEAD"}},
		{name: "digest", ref: want.Digest.String(), want: want, asks: []string{"HEAD"}},
		{name: "no such tag", ref: "2", is: ErrNotFound, asks: []string{"HEAD"}},
		{name: "no such digest", ref: descOf("b").Digest.String(), is: ErrNotFound, asks: []string{"HEAD"}},
		{name: "no HEAD", ref: "1", want: want, asks: []string{"HEAD", "GET"}, hook: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
			}
			return r.Method == http.MethodHead
		}},
		{name: "no digest header", ref: "1", want: want, asks: []string{"HEAD", "GET"}, hook: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", oci)
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = w.Write(body)
			return true
		}},
		{name: "no size", ref: "1", want: want, asks: []string{"HEAD", "GET"}, hook: func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", oci+"; charset=utf-8")
			w.Header().Set("Docker-Content-Digest", descOf("a lie").Digest.String())
			w.(http.Flusher).Flush()
			_, _ = w.Write(body)
			return true
		}},
		{name: "digest with a wrong header", ref: want.Digest.String(), want: want, asks: []string{"HEAD"}, hook: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", oci)
			w.Header().Set("Docker-Content-Digest", descOf("a lie").Digest.String())
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			return true
		}},
		{name: "digest that is none", ref: "1", is: ErrCorrupt, asks: []string{"HEAD"}, hook: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Docker-Content-Digest", "sha256:x")
			w.Header().Set("Content-Length", "1")
			return true
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStub(t)
			s.putManifest("app", "1", oci, body)
			s.hook = tt.hook
			got, err := direct(t, s, nil).Resolve(t.Context(), tt.ref)
			if tt.is == nil && (err != nil || got.Digest != tt.want.Digest || got.Size != tt.want.Size || got.MediaType != tt.want.MediaType) {
				t.Errorf("got %v, %v", got, err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %v, want %v", err, tt.is)
			}
			if tt.is == ErrNotFound && !strings.Contains(err.Error(), "answered 404 Not Found") {
				t.Errorf("text: %v", err)
			}
			var methods []string
			for _, line := range s.requests() {
				methods = append(methods, strings.Fields(line)[0])
			}
			if !slices.Equal(methods, tt.asks) {
				t.Errorf("asked %q", s.requests())
			}
		})
	}
	for _, ref := range []string{"", "a/b", "../x", "a b", "sha256:x", strings.Repeat("x", 200)} {
		s := newStub(t)
		if _, err := direct(t, s, nil).Resolve(t.Context(), ref); err == nil || len(s.requests()) > 0 {
			t.Errorf("%q: %v, asked %q", ref, err, s.requests())
		}
	}
}

func TestContentIsBoundedAndVerifiedAgainstItsDescriptor(t *testing.T) {
	t.Parallel()
	good := descOf("content")
	sized := func(n int64) ocispec.Descriptor { d := good; d.Size = n; return d }
	write := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
	}
	announce := func(n int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(n))
			_, _ = w.Write([]byte(text))
		}
	}
	chunked := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			fmt.Fprint(w, text)
		}
	}
	tests := []struct {
		name  string
		desc  ocispec.Descriptor
		serve http.HandlerFunc // nil: must not be asked
		is    error
		fails bool
	}{
		{name: "good", desc: good, serve: write("content")},
		{name: "good and chunked", desc: good, serve: chunked("content")},
		{name: "good with a wrong digest header", desc: good, serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Docker-Content-Digest", descOf("x").Digest.String())
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Accept-Ranges", "bytes")
			fmt.Fprint(w, "content")
		}},
		{name: "descriptor too large", desc: sized(maxBytes + 1), is: ErrTooLarge},
		{name: "descriptor of negative size", desc: sized(-1), is: ErrCorrupt},
		{name: "descriptor without digest", desc: ocispec.Descriptor{Size: 1}, is: ErrCorrupt},
		{name: "descriptor of unknown algorithm", desc: ocispec.Descriptor{Digest: "md5:d41d8cd98f00b204e9800998ecf8427e", Size: 1}, is: ErrCorrupt},
		{name: "another digest", desc: good, serve: write("CONTENT"), is: ErrCorrupt},
		{name: "longer", desc: good, serve: write("content!"), is: ErrCorrupt},
		{name: "longer and chunked", desc: good, serve: chunked("content!"), is: ErrCorrupt},
		{name: "far longer and chunked", desc: good, serve: chunked(strings.Repeat("x", 2*maxBytes)), is: ErrCorrupt},
		{name: "shorter", desc: good, serve: write("conten"), is: ErrCorrupt},
		{name: "shorter and chunked", desc: good, serve: chunked("conten"), is: ErrCorrupt},
		{name: "announces the right size and stops short", desc: good, serve: announce(7, "conten"), fails: true},
		{name: "announces terabytes", desc: good, serve: announce(1<<40, "content"), is: ErrCorrupt},
		{name: "gone", desc: good, serve: http.NotFound, is: ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.serve == nil {
					t.Errorf("asked for %s", r.URL)
					return
				}
				tt.serve(w, r)
			}))
			t.Cleanup(server.Close)
			repo := repository(t, testRegistry(t, Options{}), strings.TrimPrefix(server.URL, "http://")+"/app", nil)
			for name, fetch := range map[string]func(context.Context, ocispec.Descriptor) ([]byte, error){"manifest": repo.Manifest, "blob": repo.Blob} {
				got, err := fetch(t.Context(), tt.desc)
				if (err != nil) != (tt.fails || tt.is != nil) || tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("%s: %v", name, err)
				}
				if err == nil && string(got) != "content" || err != nil && got != nil {
					t.Errorf("%s: %q", name, got)
				}
			}
		})
	}
}

func TestAResolvedManifestIsBounded(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	desc := s.putManifest("app", "1", ocispec.MediaTypeImageIndex, make([]byte, maxBytes+1))
	repo := direct(t, s, nil)
	got, err := repo.Resolve(t.Context(), "1")
	if err != nil || got.Size != desc.Size {
		t.Fatalf("resolve: %v, %v", got, err)
	}
	if _, err := repo.Manifest(t.Context(), got); !errors.Is(err, ErrTooLarge) || s.count("GET") > 0 {
		t.Errorf("got %v, asked %q", err, s.requests())
	}
}

func TestASlowAnswerEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	s.hook = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte(" "))
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
		return true
	}
	desc := descOf("content")
	desc.Size = maxBytes
	for name, fetch := range map[string]func(*Repository, context.Context) error{
		"manifest": func(p *Repository, ctx context.Context) error { _, err := p.Manifest(ctx, desc); return err },
		"blob":     func(p *Repository, ctx context.Context) error { _, err := p.Blob(ctx, desc); return err },
		"referrers": func(p *Repository, ctx context.Context) error {
			_, err := p.Referrers(ctx, desc)
			return err
		},
	} {
		repo := direct(t, s, nil)
		start := time.Now()
		err := fetch(repo, shortly(t, 200*time.Millisecond))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(start))
		}
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v is not a transport error", name, err)
		}
	}
}

func FuzzRelink(f *testing.F) {
	repoPath := "/v2/app/referrers/" + descOf("x").Digest.String()
	for _, link := range []string{"", "<" + repoPath + "?n=1>; rel=next", "<?last=1>", "<http://h/v2>", "<//h/x>", "<%zz>", "<" + repoPath + "/../x>"} {
		f.Add(link)
	}
	r := New(Options{})
	f.Fuzz(func(t *testing.T, link string) {
		repo := repository(t, r, "registry.test/app", nil)
		req := httptest.NewRequest(http.MethodGet, "https://registry.test"+repoPath, nil)
		resp := &http.Response{Header: http.Header{"Link": {link}}, Request: req}
		c := repo.newCall("list referrers", referring, "x")
		if err := c.relink(req, resp, repo.hosts[0]); err != nil {
			return
		}
		got := resp.Header.Get("Link")
		if got == "" {
			return
		}
		u, err := url.Parse(strings.Trim(got, "<>"))
		if err != nil || u.Scheme+"://"+u.Host+u.Path != "https://registry.test"+repoPath {
			t.Errorf("%q became %q", link, got)
		}
	})
}
