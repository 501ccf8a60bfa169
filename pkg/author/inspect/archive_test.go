package inspect_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/imagefit/imagefit/pkg/author/inspect"
)

// TestArchivesOfRealToolsAreRead has what crane 0.22.1 (pull, and pull --format=legacy)
// and skopeo 1.9.3 (copy to docker-archive:) wrote of one image of two layers: the upper
// one replaces bin/app and removes bin/old.
func TestArchivesOfRealToolsAreRead(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"crane", "crane-legacy", "skopeo"} {
		packed, err := os.Open(filepath.Join("testdata", tool+".tar.gz"))
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := gzip.NewReader(packed)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(unpacked)
		if err := packed.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		found, err := inspect.Path(t.Context(), writeFile(t, filepath.Join(t.TempDir(), tool+".tar"), body), "")
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %d images, %v", tool, len(found), err)
		}
		i := found[0]
		if i.Platform != "linux/amd64" || len(i.Programs) != 1 || i.Programs[0].Path != "bin/app" || i.Programs[0].Level != 3 {
			t.Errorf("%s: platform %s, programs %+v", tool, i.Platform, i.Programs)
		}
	}
}
