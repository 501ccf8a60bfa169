package cli

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/config"
)

// TestLoggerRedactsCredentialsInEveryFormat: anything but a terminal gets JSON
// unless text is configured.
func TestLoggerRedactsCredentialsInEveryFormat(t *testing.T) {
	t.Parallel()
	for format, wantJSON := range map[string]bool{config.Auto: true, config.JSON: true, config.Text: false} {
		var buf bytes.Buffer
		NewLogger(&buf, format, slog.LevelInfo).Info("m", "request", &runtimeapi.PullImageRequest{
			Auth: &runtimeapi.AuthConfig{Password: "hunter2"},
		}, "took", 1500*time.Millisecond)
		if json.Valid(buf.Bytes()) != wantJSON {
			t.Errorf("%s: %s", format, buf.String())
		}
		if !bytes.Contains(buf.Bytes(), []byte("1.5s")) {
			t.Errorf("%s has a duration without a unit: %s", format, buf.String())
		}
		if bytes.Contains(buf.Bytes(), []byte("hunter2")) {
			t.Errorf("%s shows a password: %s", format, buf.String())
		}
	}
}
