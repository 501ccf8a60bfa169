package registry

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FuzzAnswer looks any answer to a request for referrers up in the table, and reads it
// as an error of the registry.
func FuzzAnswer(f *testing.F) {
	f.Add(200, ocispec.MediaTypeImageIndex, []byte(`{"manifests": []}`))
	f.Add(200, ocispec.MediaTypeImageIndex, []byte(nil))
	f.Add(404, "application/json", []byte(`{"errors": [{"code": "MANIFEST_UNKNOWN"}]}`))
	f.Add(404, "text/plain; charset=\"", []byte(`{"errors": [null, {"code": 7}]`))
	f.Add(-1, "text/html", []byte("<html>"))
	f.Fuzz(func(t *testing.T, status int, mediaType string, body []byte) {
		resp := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {mediaType}}, Body: io.NopCloser(bytes.NewReader(body))}
		means := meaningOf(resp)
		rest, err := io.ReadAll(resp.Body)
		if means == isList && (status != http.StatusOK || err != nil || !bytes.Equal(rest, body) || len(body) == 0) {
			t.Fatalf("status %d, %d of %d bytes left, %v", status, len(rest), len(body), err)
		}
	})
}
