package registry

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

func TestTagsAndRepositoriesAreListedPageByPage(t *testing.T) {
	t.Parallel()
	s := newStub(t)
	page := func(w http.ResponseWriter, body, link string) bool {
		w.Header().Set("Content-Type", "application/json")
		if link != "" {
			w.Header().Set("Link", link)
		}
		_, _ = w.Write([]byte(body))
		return true
	}
	tests := []struct {
		name  string
		hook  func(w http.ResponseWriter, r *http.Request) bool
		want  string
		is    error
		words string
		most  int // requests
	}{
		{name: "three pages", want: "1 2 3 4 5", most: 3, hook: func(w http.ResponseWriter, r *http.Request) bool {
			switch r.URL.Query().Get("last") {
			case "":
				return page(w, `{"tags": ["1", "2"]}`, `</v2/app/tags/list?last=2&n=2>; rel="next"`)
			case "2":
				return page(w, `{"tags": ["3", "4"]}`, `<http://inside.example:1/other?last=4>; rel="next"`)
			default:
				return page(w, `{"tags": ["5"]}`, "")
			}
		}},
		{name: "null", want: "", most: 1, hook: func(w http.ResponseWriter, _ *http.Request) bool { return page(w, `{"tags": null}`, "") }},
		{name: "names that are none", want: "1", most: 1, hook: func(w http.ResponseWriter, _ *http.Request) bool {
			return page(w, `{"tags": ["", "1", "`+strings.Repeat("x", 300)+`"]}`, "")
		}},
		{name: "the same page for ever", want: "1", is: ErrCorrupt, words: "in a row", most: 110, hook: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Has("last") {
				return page(w, `{"tags": []}`, `</v2/app/tags/list?last=1>; rel="next"`)
			}
			return page(w, `{"tags": ["1"]}`, `</v2/app/tags/list?last=1>; rel="next"`)
		}},
		{name: "the same tags for ever", want: "1", is: ErrCorrupt, words: "begins with it again", most: 2, hook: func(w http.ResponseWriter, r *http.Request) bool {
			return page(w, `{"tags": ["1"]}`, fmt.Sprintf(`</v2/app/tags/list?last=1%s>; rel="next"`, r.URL.Query().Get("last")))
		}},
		{name: "a page of 5 MiB", is: ErrTooLarge, most: 1, hook: func(w http.ResponseWriter, _ *http.Request) bool {
			return page(w, `{"tags": ["`+strings.Repeat(`1", "`, 1<<20)+`1"]}`, "")
		}},
		{name: "not a list", is: ErrCorrupt, most: 1, hook: func(w http.ResponseWriter, _ *http.Request) bool { return page(w, `<html>`, "") }},
		{name: "no such repository", is: ErrNotFound, most: 1, hook: func(w http.ResponseWriter, r *http.Request) bool {
			http.NotFound(w, r)
			return true
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.Forget()
			s.hook = tt.hook
			var got []string
			err := direct(t, s, nil).Tags(t.Context(), func(tags []string) error {
				got = append(got, tags...)
				return nil
			})
			if strings.Join(got, " ") != tt.want || !errors.Is(err, tt.is) || tt.is == nil && err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.words) {
				t.Errorf("got %v", err)
			}
			if n := len(s.requests()); n > tt.most {
				t.Errorf("%d requests", n)
			}
			for _, r := range s.requests() {
				if !strings.HasPrefix(r, "GET /v2/app/tags/list") {
					t.Errorf("request %s", r)
				}
			}
		})
	}
}

func TestRepositoriesOfARegistryAreListed(t *testing.T) {
	t.Parallel()
	s := fakeregistry.New(t, fakeregistry.Options{Password: "secret"})
	for _, name := range []string{"a/b", "c", "d"} {
		s.In(name).Image("linux/amd64", name, "1")
	}
	r := testRegistry(t, Options{})
	var got []string
	each := func(names []string) error {
		got = append(got, names...)
		return nil
	}
	if err := r.Repositories(t.Context(), s.Host(), &Auth{Username: "u", Password: "secret"}, each); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a/b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	err := r.Repositories(t.Context(), s.Host(), nil, each)
	if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "list repositories "+s.Host()+": ") {
		t.Errorf("got %v", err)
	}
	full := errors.New("full")
	err = r.Repositories(t.Context(), s.Host(), &Auth{Username: "u", Password: "secret"}, func([]string) error { return full })
	if !errors.Is(err, full) || err.Error() != "full" {
		t.Errorf("got %v", err)
	}
}
