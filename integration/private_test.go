package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

func auth(user, password string) stack.PullOptions {
	return stack.PullOptions{Auth: &runtimeapi.AuthConfig{Username: user, Password: password}}
}

func TestPrivateRepositoryIsReadWithTheCredentialsOfThePull(t *testing.T) {
	users := map[string]stack.User{"alice": {Password: "secret-of-alice"}}
	for name, protect := range map[string]func(*stack.Registry){
		"basic": func(r *stack.Registry) { r.RequireBasic(users) },
		"token": func(r *stack.Registry) { r.RequireToken(users) },
	} {
		t.Run(name, func(t *testing.T) {
			f := startFit(t, flagsV3, stack.Settings{})
			repo, _, manifests := f.push(t, "private/app", variants("amd64", "amd64/v3")...)
			needs(t, repo, manifests[1], `"cpu-cpuid.AVX2": true`)
			protect(f.registry)
			ref := repo.Ref("1")

			id, err := f.cri.Pull(t.Context(), ref, auth("alice", "secret-of-alice"))
			if err != nil {
				t.Fatal(err)
			}
			wantID(t, f.cri, id, ref)
			f.wantRuns(t, ref, id, "amd64/v3")
			// The decision is known by now, the image on the node. None of it may
			// serve those whom the registry would not.
			for who, opts := range map[string]stack.PullOptions{
				"wrong password": auth("alice", "wrong"),
				"another user":   auth("mallory", "secret-of-alice"),
				"anonymous":      {},
			} {
				_, got := f.cri.Pull(t.Context(), ref, opts)
				_, want := f.containerd.CRI.Pull(t.Context(), ref, opts)
				if got == nil || want == nil {
					t.Errorf("%s: pulled (through the proxy: %v, directly: %v)", who, got, want)
					continue
				}
				if status.Code(got) != status.Code(want) || got.Error() != want.Error() {
					t.Errorf("%s:\ngot  %v\nwant %v, as without the proxy", who, got, want)
				}
			}
			for _, secret := range []string{"secret-of-alice", "wrong"} {
				if strings.Contains(f.proxyLog(t), secret) {
					t.Errorf("the log holds the password %q", secret)
				}
			}
		})
	}
}

// A refusal must not tell a stranger what is in a private repository.
func TestRefusalTellsStrangersNothing(t *testing.T) {
	f := startFit(t, flagsV2, stack.Settings{Cache: `referrers_ttl = "1h"`})
	repo, index, _ := f.push(t, "private/app", variants("amd64/v3")...)
	f.registry.RequireBasic(map[string]stack.User{"alice": {Password: "a"}})
	for _, ref := range []string{repo.Ref("1"), repo.DigestRef(index)} {
		_, err := f.cri.Pull(t.Context(), ref, auth("alice", "a"))
		if err == nil || !strings.Contains(err.Error(), "imagefit: no variant") {
			t.Fatalf("alice: %v, want our refusal", err)
		}
		_, err = f.cri.Pull(t.Context(), ref, auth("mallory", "m"))
		if err == nil || strings.Contains(err.Error(), "imagefit") {
			t.Errorf("mallory: %v, want the registry's refusal", err)
		}
	}
}

// Nor may one who knows the digest of what is private read it by naming it in a
// repository of their own.
func TestKnowingADigestIsNotARightToRead(t *testing.T) {
	f := startFit(t, flagsV2, stack.Settings{Cache: `referrers_ttl = "1h"`})
	private, _, theirs := f.push(t, "private/app", variants("amd64")...)
	const body = `{"compatibilities": {"nfd": {"cpu-cpuid.AMXINT8": true}}}`
	if _, err := private.Attach(t.Context(), theirs[0], stack.Artifact{Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	own, _, manifests := f.push(t, "own/app", variants("amd64")...)
	empty, err := own.PushBlob(t.Context(), ocispec.MediaTypeEmptyJSON, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	artifact := fmt.Sprintf(`{"schemaVersion": 2, "mediaType": %q, "artifactType": %q, "config": {"mediaType": %q, "digest": %q, "size": %d},
		"layers": [{"mediaType": %q, "digest": %q, "size": %d}], "subject": {"mediaType": %q, "digest": %q, "size": %d}}`,
		ocispec.MediaTypeImageManifest, stack.CompatibilityType, empty.MediaType, empty.Digest, empty.Size,
		stack.CompatibilityLayerType, digest.FromString(body), len(body),
		manifests[0].MediaType, manifests[0].Digest, manifests[0].Size)
	if _, err := own.PushManifest(t.Context(), "", ocispec.MediaTypeImageManifest, []byte(artifact)); err != nil {
		t.Fatal(err)
	}
	f.registry.RequireBasic(map[string]stack.User{
		"alice":   {Password: "a", Repos: []string{"private/app"}},
		"mallory": {Password: "m", Repos: []string{"own/app"}},
	})
	_, err = f.cri.Pull(t.Context(), private.Ref("1"), auth("alice", "a"))
	if err == nil || !strings.Contains(err.Error(), "AMXINT8") {
		t.Fatalf("alice: %v, want a refusal that says what is needed", err)
	}
	if _, err := f.cri.Pull(t.Context(), own.Ref("1"), auth("mallory", "m")); err != nil {
		t.Errorf("mallory: %v, want the image, as of an artifact that cannot be read", err)
	}
	if !strings.Contains(f.proxyLog(t), "cannot read compatibility artifact") {
		t.Error("the log does not say that the artifact could not be read")
	}
}

func TestTokensStayWithTheirTenant(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, _, _ := f.push(t, "shared/app", variants("amd64", "amd64/v3")...)
	tokens := f.registry.RequireToken(map[string]stack.User{
		"alice": {Password: "a", Repos: []string{"shared/app"}},
		"bob":   {Password: "b", Repos: []string{"shared/app"}},
	})
	for _, user := range []string{"alice", "bob", "alice"} {
		f.registry.Forget()
		before := len(tokens.Issued())
		if _, err := f.cri.Pull(t.Context(), repo.Ref("1"), auth(user, user[:1])); err != nil {
			t.Fatal(err)
		}
		for _, req := range f.registry.Requests() {
			if req.User != "" && req.User != user {
				t.Errorf("%s %s was made as %s for a pull of %s", req.Method, req.Path, req.User, user)
			}
		}
		issued := tokens.Issued()
		for _, token := range issued[before:] {
			if token.User != user && token.User != "" {
				t.Errorf("a pull of %s got a token of %s", user, token.User)
			}
		}
		if !slices.ContainsFunc(issued[before:], func(token stack.Token) bool { return token.User == user && len(token.Used) > 0 }) {
			t.Errorf("the pull of %s used no token of its own", user)
		}
	}
}
