package integration

import (
	"database/sql"
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
	execute(t, p.URL, "UPDATE imagefit_catalog.schema_version SET version = 1")
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
