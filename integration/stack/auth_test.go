package stack

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

func fetchJSON(t *testing.T, repo *remote.Repository, desc ocispec.Descriptor, into any) {
	t.Helper()
	body, err := content.FetchAll(t.Context(), repo, desc)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCredentialsOpenTheirOwnRepositoriesOnly(t *testing.T) {
	users := map[string]User{
		"ann":  {Password: "a-secret", Repos: []string{"team/ann"}},
		"bob":  {Password: "b-secret", Repos: []string{"team/bob"}},
		"root": {Password: "r-secret"},
	}
	manners := map[string]struct {
		require func(*Registry)
		oauth   bool
	}{
		"basic":            {require: func(r *Registry) { r.RequireBasic(users) }},
		"token":            {require: func(r *Registry) { r.RequireToken(users) }},
		"token over OAuth": {require: func(r *Registry) { r.RequireToken(users) }, oauth: true},
	}
	tests := map[string]struct {
		user, password string
		admitted       bool
	}{
		"right":                {"ann", "a-secret", true},
		"may pull everything":  {"root", "r-secret", true},
		"wrong password":       {"ann", "b-secret", false},
		"another's repository": {"bob", "b-secret", false},
		"unknown":              {"eve", "e-secret", false},
		"anonymous":            {"", "", false},
	}
	for manner, m := range manners {
		r, err := NewRegistry()
		closeAfter(t, r, err)
		if _, err := r.Repo("team/ann").PushIndexOf(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		m.require(r)
		for name, test := range tests {
			t.Run(manner+"/"+name, func(t *testing.T) {
				repo := throughFront(t, r, "team/ann")
				repo.Client = &auth.Client{Client: repo.Client.(*http.Client), ForceAttemptOAuth2: m.oauth,
					Credential: func(context.Context, string) (auth.Credential, error) {
						return auth.Credential{Username: test.user, Password: test.password}, nil
					}}
				r.Forget()
				_, err := repo.Resolve(t.Context(), "1")
				if (err == nil) != test.admitted {
					t.Fatalf("resolve: %v, admitted should be %v", err, test.admitted)
				}
				all := r.Requests()
				if last := all[len(all)-1]; test.admitted && (last.User != test.user || last.Status != http.StatusOK) {
					t.Errorf("last request %+v, want one of %s", last, test.user)
				}
			})
		}
	}
}

func TestTokensTellWhoUsedThem(t *testing.T) {
	r, err := NewRegistry()
	closeAfter(t, r, err)
	if _, err := r.Repo("a/b").PushIndexOf(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	tokens := r.RequireToken(map[string]User{"ann": {Password: "x"}})
	repo := throughFront(t, r, "a/b")
	repo.Client = &auth.Client{Client: repo.Client.(*http.Client),
		Credential: auth.StaticCredential(r.Host, auth.Credential{Username: "ann", Password: "x"})}
	if _, err := repo.Resolve(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	issued := tokens.Issued()
	if len(issued) != 1 || issued[0].User != "ann" || issued[0].Scope != "repository:a/b:pull" ||
		len(issued[0].Used) != 1 || issued[0].Used[0] != "/v2/a/b/manifests/1" {
		t.Errorf("issued %+v", issued)
	}
}
