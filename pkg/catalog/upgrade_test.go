package catalog

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/internal/testkit"
)

// openWith opens a catalog with what a version of imagefit knows of the schema.
func openWith(t *testing.T, path string, steps []string) (*Catalog, error) {
	t.Helper()
	c, err := Open(t.Context(), path, Options{Now: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.migrate(t.Context(), steps); err != nil {
		return nil, err
	}
	_, err = c.Add(t.Context(), Source{Kind: FromList, Name: "list"})
	return c, err
}

// A catalog of an older version is brought up to date with all that it has, one of a newer
// version is refused with what to do, and a step that fails changes nothing.
func TestASchemaIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	old, err := openWith(t, path, migrations())
	if err != nil {
		t.Fatal(err)
	}
	x := NewIndexer(testkit.Specs(t), "test")
	for i := range 3 {
		if err := old.record(t.Context(), x, 1, siteImage(i, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	mine := len(migrations())
	next := slices.Concat(migrations(), []string{"ALTER TABLE tag ADD COLUMN note TEXT NOT NULL DEFAULT 'none';\nCREATE INDEX tag_note ON tag (note);\n"})
	broken := slices.Concat(next, []string{"CREATE TABLE half (id {id});\nALTER TABLE missing ADD COLUMN x TEXT;\n"})

	c, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.migrate(t.Context(), broken); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("to version %d", mine+2)) {
		t.Errorf("a step that fails: %v", err)
	}
	count := func(query string) (n int) {
		t.Helper()
		if err := c.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count("SELECT COUNT(*) FROM sqlite_master WHERE name IN ('half', 'tag_note')"); n != 0 {
		t.Errorf("%d objects of steps that failed are there", n)
	}
	if v := count("SELECT version FROM schema_version"); v != mine {
		t.Errorf("version %d after a failure", v)
	}
	for range 2 { // the second time there is nothing to do
		if err := c.migrate(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
	if n, v := count("SELECT COUNT(*) FROM tag WHERE note = 'none'"), count("SELECT version FROM schema_version"); n != 3 || v != mine+1 {
		t.Errorf("%d names at version %d, want 3 at %d", n, v, mine+1)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("it has schema version %d, this imagefit knows versions up to %d: use the newer imagefit, or another catalog", mine+1, mine)
	for _, readOnly := range []bool{false, true} {
		if _, err := Open(t.Context(), path, Options{ReadOnly: readOnly}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a newer schema, read-only %t: %v", readOnly, err)
		}
	}
}

// Who only reads an older catalog is told what brings it up to date.
func TestAReaderOfAnOlderSchemaIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	c, err := openWith(t, path, migrations())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.writer.ExecContext(t.Context(), "UPDATE schema_version SET version = 0"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "begin with imagefit catalog add") {
		t.Errorf("nothing in it: %v", err)
	}
	if err := c.checkVersionAgainst(t.Context(), 1); err == nil {
		t.Error("version 0 is read")
	}
	if _, err := c.writer.ExecContext(t.Context(), "UPDATE schema_version SET version = 1"); err != nil {
		t.Fatal(err)
	}
	if err := c.checkVersionAgainst(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "it has schema version 1 and this imagefit reads 2: imagefit catalog sync brings it up to date") {
		t.Errorf("an older schema: %v", err)
	}
}

// A writer waits for another one, and says who keeps it waiting.
func TestACatalogThatIsLockedByAnotherIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	first, err := openWith(t, path, migrations())
	if err != nil {
		t.Fatal(err)
	}
	second, err := openWith(t, path, migrations())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.writer.ExecContext(t.Context(), "PRAGMA busy_timeout = 10"); err != nil {
		t.Fatal(err)
	}
	x := NewIndexer(testkit.Specs(t), "test")
	if _, err := first.writer.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	const want = "another process has locked it for more than 20s: try again when that ends"
	if err := second.record(t.Context(), x, 1, siteImage(0, 0)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
		t.Errorf("while another one writes: %v", err)
	}
	reader, err := Open(t.Context(), path, Options{ReadOnly: true}) // readers do not wait
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	if s, err := reader.Stats(t.Context()); err != nil || s.Names != 0 {
		t.Errorf("a reader: %+v, %v", s, err)
	}
	if _, err := first.writer.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := second.record(t.Context(), x, 1, siteImage(0, 0)); err != nil {
		t.Errorf("after that ended: %v", err)
	}
	if s, err := reader.Stats(t.Context()); err != nil || s.Names != 1 {
		t.Errorf("nothing is lost: %+v, %v", s, err)
	}
}

// A transaction that is cancelled at any moment leaves no lock behind.
func TestACancelledTransactionLocksNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	first, err := openWith(t, path, migrations())
	if err != nil {
		t.Fatal(err)
	}
	second, err := openWith(t, path, migrations())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.writer.ExecContext(t.Context(), "PRAGMA busy_timeout = 10"); err != nil {
		t.Fatal(err)
	}
	touch := func(tx *tx) error { return tx.exec("UPDATE source SET error = ''") }
	for i := range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range i % 30 {
				runtime.Gosched()
			}
			cancel()
		}()
		_ = first.tx(ctx, touch) // it may be done or not
		<-done
		if err := second.tx(t.Context(), touch); err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
	}
}
