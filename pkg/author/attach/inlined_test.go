package attach

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestSmallBodiesAreInTheManifestToo(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, maxInlined, maxInlined + 1} {
		body := []byte(strings.Repeat(" ", size))
		packed, err := Pack(Body{Bytes: body, LayerType: "text/plain", ArtifactType: "application/test"}, Subject{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(packed.Manifest, &m); err != nil {
			t.Fatal(err)
		}
		if got, want := m.Layers[0].Data, body; size <= maxInlined && !bytes.Equal(got, want) || size > maxInlined && got != nil {
			t.Errorf("of %d bytes, %d are in the manifest", size, len(got))
		}
	}
}
