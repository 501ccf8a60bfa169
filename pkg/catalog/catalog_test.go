package catalog_test

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/imagefit/imagefit/internal/testkit/catalogtest"
	"github.com/imagefit/imagefit/pkg/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openAt(t testing.TB, path string, o catalog.Options) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestSQLiteIsACatalog(t *testing.T) {
	t.Parallel()
	catalogtest.Suite(t, func(t *testing.T, now func() time.Time) (*catalog.Catalog, func() *catalog.Catalog) {
		path := filepath.Join(t.TempDir(), "a folder", "..", "catalog?.db")
		o := catalog.Options{Now: now}
		return openAt(t, path, o), func() *catalog.Catalog { return openAt(t, path, o) }
	})
}
