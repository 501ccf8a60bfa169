package secret

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestStripRedactsTheSecretsOfURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                "",
		"no URL? none":                    "no URL? none",
		"https://registry.example/v2/":    "https://registry.example/v2/",
		"http://u:hunter2@host:5000/path": "http://host:5000/path",
		"https://u:p@hunter2@host/x":      "https://host/x",
		`Get "https://store.example/blob?X-Amz-Signature=hunter2&b=c": EOF`: `Get "https://store.example/blob?[redacted]": EOF`,
		"HTTPS://hunter2@host/a?b=hunter2#c and s3://k:hunter2@b":           "HTTPS://host/a?[redacted]#c and s3://b",
		"redirect to /blob?sig=hunter2, then":                               "redirect to /blob?[redacted] then",
		"mail@example.com":                                                  "mail@example.com",
		"https://host/v2/a@sha256:00":                                       "https://host/v2/a@sha256:00",
	} {
		if got := Strip(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// FuzzStripRedactsAURLInAnyText: a URL with credentials between other text.
func FuzzStripRedactsAURLInAnyText(f *testing.F) {
	f.Add("https://u:p@h/x?q", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		const word = "hunter2hunter2"
		if got := Strip(before + " https://u:" + word + "@h/p?s=" + word + " " + after); strings.Contains(got, word) && !strings.Contains(before+after, word) {
			t.Errorf("%q, %q: %q", before, after, got)
		}
	})
}

func TestAttrRedactsEveryTypeThatCarriesCredentials(t *testing.T) {
	t.Parallel()
	const password = "hunter2"
	location, err := url.Parse("https://user:" + password + "@host/blob?sig=" + password)
	if err != nil {
		t.Fatal(err)
	}
	auth := &runtimeapi.AuthConfig{Password: password}
	header := http.Header{"Authorization": {password}}
	for name, value := range map[string]any{
		"request":       &runtimeapi.PullImageRequest{Auth: auth},
		"auth":          auth,
		"header":        header,
		"HTTP request":  &http.Request{Header: header, URL: location},
		"HTTP response": &http.Response{Header: header},
		"metadata":      metadata.Pairs("authorization", password),
		"URL":           location,
		"user":          location.User,
		"error":         fmt.Errorf("get: %w", &url.Error{Op: "Get", URL: location.String(), Err: errors.New("EOF")}),
		"text":          "at " + location.String(),
	} {
		for _, group := range []bool{false, true} {
			var buf bytes.Buffer
			options := &slog.HandlerOptions{ReplaceAttr: Attr}
			for _, handler := range []slog.Handler{slog.NewTextHandler(&buf, options), slog.NewJSONHandler(&buf, options)} {
				log := slog.New(handler)
				if group {
					log = log.WithGroup("g")
				}
				log.Info("m", "key", value)
				log.With("key", value).Info("m")
			}
			if strings.Contains(buf.String(), password) || strings.Count(buf.String(), "key") != 4 {
				t.Errorf("%s: %s", name, buf.String())
			}
		}
	}
	if a := Attr(nil, slog.Int("n", 7)); a.Value.Int64() != 7 {
		t.Errorf("number became %v", a)
	}
}
