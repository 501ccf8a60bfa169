package integration

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/internal/testkit/catalogtest"
	"github.com/imagefit/imagefit/pkg/catalog"
)

func newPostgres(t *testing.T) *stack.Postgres {
	t.Helper()
	p, err := stack.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// PostgreSQL passes the tests that SQLite passes in the unit tests.
func TestPostgreSQLIsACatalog(t *testing.T) {
	p := newPostgres(t)
	open := func(t *testing.T, o catalog.Options) *catalog.Catalog {
		t.Helper()
		c, err := catalog.Open(t.Context(), p.URL, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	catalogtest.Suite(t, func(t *testing.T, now func() time.Time) (*catalog.Catalog, func() *catalog.Catalog) {
		execute(t, p.URL, "DROP SCHEMA IF EXISTS imagefit_catalog CASCADE")
		return open(t, catalog.Options{Now: now}), func() *catalog.Catalog { return open(t, catalog.Options{Now: now}) }
	})
	execute(t, p.URL, "UPDATE imagefit_catalog.schema_version SET version = 99")
	if _, err := catalog.Open(t.Context(), p.URL, catalog.Options{}); err == nil || !strings.Contains(err.Error(), "schema version 99") {
		t.Errorf("a newer schema: %v", err)
	}
	execute(t, p.URL, "UPDATE imagefit_catalog.schema_version SET version = 2")
	c := open(t, catalog.Options{ReadOnly: true})
	if _, _, err := c.SQL(t.Context(), "DELETE FROM tag", 0); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a statement that writes: %v", err)
	}
	if _, rows, err := c.SQL(t.Context(), "SELECT COUNT(*) FROM image", 0); err != nil || len(rows) != 1 {
		t.Errorf("a statement that reads: %v %v", rows, err)
	}
}

// execute runs a statement as another program would.
func execute(t *testing.T, url, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err == nil {
		_, err = db.ExecContext(t.Context(), statement)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A sync of a real registry reads no layer, and one that was killed is continued.
func TestACatalogOfARealRegistryIsContinuedAfterAKill(t *testing.T) {
	requireStack(t)
	registry := started(t)(stack.StartDistribution(t.Context()))
	const images = 20
	layers := map[string]bool{}
	for i := range images {
		repo := registry.Repo(fmt.Sprintf("team/app-%d", i))
		_, manifests, err := repo.PushIndex(t.Context(), "1", variants("amd64", "amd64/v3", "arm64")...)
		if err != nil {
			t.Fatal(err)
		}
		needs(t, repo, manifests[1], `"cpu-cpuid.AVX2": true`)
		for _, d := range manifests {
			m, err := repo.Manifest(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			for _, layer := range m.Layers {
				layers[layer.Digest.String()] = true
			}
		}
	}
	registry.Forget()
	db := filepath.Join(t.TempDir(), "catalog.db")
	if _, errs, code := tool(t, "catalog", "--db", db, "add", registry.Host+"/team"); code != 0 {
		t.Fatal(errs)
	}
	bin, err := stack.Binaries(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	killed := exec.CommandContext(t.Context(), filepath.Join(bin, "imagefit"), "catalog", "--db", db, "sync", "--rate", "60", "-q")
	killed.Env = stack.Environ()
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	names := func() (n int) {
		c, err := catalog.Open(t.Context(), db, catalog.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		s, err := c.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return int(s.Images)
	}
	for names() < 3 {
		time.Sleep(20 * time.Millisecond)
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	if n := names(); n >= images {
		t.Fatalf("the sync had ended: %d images", n)
	}
	out, errs, code := tool(t, "catalog", "--db", db, "sync", "--rate", "0", "-o", "json", "-q")
	var summary catalog.Summary
	if err := json.Unmarshal([]byte(out), &summary); err != nil || code != 0 {
		t.Fatalf("%v %d %s %s", err, code, out, errs)
	}
	if summary.Skipped < 3 || summary.Skipped+summary.New+summary.Same != images {
		t.Errorf("the sync after the kill: %+v", summary)
	}
	if out, _, _ = tool(t, "catalog", "--db", db, "query", "requires cpu.cpuid.AVX2", "-o", "csv"); strings.Count(out, "linux/amd64/v3") != images {
		t.Errorf("query: %s", out)
	}
	for _, r := range registry.Requests() {
		if layers[path.Base(r.Path)] {
			t.Errorf("a layer was read: %s %s", r.Method, r.Path)
		}
	}
}
