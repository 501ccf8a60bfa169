package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"
	"time"
)

// Options say how to open a catalog.
type Options struct {
	// ReadOnly opens one that exists, and lets nothing change it.
	ReadOnly bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Catalog is an open database. It is safe for use by many goroutines, and any number of
// processes may use the same one.
type Catalog struct {
	name   string // for messages, without a password
	engine *engine
	db     *sql.DB
	now    func() time.Time

	// SQLite has one writer at a time, and takes longer to compile most statements than to
	// run them: its transactions run on one connection that keeps them.
	mu     sync.Mutex
	writer *sql.Conn
	kept   map[string]*sql.Stmt
}

// Open opens a catalog: a file of SQLite, or the URL of a PostgreSQL database. What does
// not exist is made, and what an older version has made is brought up to date.
func Open(ctx context.Context, target string, o Options) (*Catalog, error) {
	c := &Catalog{name: target, engine: sqliteEngine(), now: o.Now}
	if c.now == nil {
		c.now = time.Now
	}
	var err error
	if IsPostgres(target) {
		c.name, c.engine = withoutPassword(target), postgresEngine()
		c.db, err = openPostgres(target, o.ReadOnly)
	} else {
		if err := checkFile(target); err != nil {
			return nil, err
		}
		if _, err := os.Stat(target); o.ReadOnly && errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("open the catalog %s: it does not exist: imagefit catalog add and sync make one", target)
		}
		if c.db, err = openSQLite(target, o.ReadOnly); err == nil && !o.ReadOnly {
			if c.writer, err = c.db.Conn(ctx); err == nil {
				err = c.migrate(ctx, migrations())
			}
			c.kept = map[string]*sql.Stmt{}
		}
	}
	switch {
	case err != nil:
	case o.ReadOnly:
		err = c.checkVersion(ctx)
	case c.writer == nil:
		err = c.migrate(ctx, migrations())
	}
	if err != nil {
		if c.db != nil {
			_ = c.Close()
		}
		if errors.Is(err, errForeign) {
			return nil, fmt.Errorf("open the catalog %s: %w", c.name, err)
		}
		return nil, c.named(err)
	}
	return c, nil
}

// withoutPassword is a URL that may be shown.
func withoutPassword(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return "in PostgreSQL"
	}
	u.RawQuery = ""
	return u.Redacted()
}

// Close closes the database.
func (c *Catalog) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, statement := range c.kept {
		_ = statement.Close()
	}
	c.kept = nil
	if c.writer != nil {
		_ = c.writer.Close()
	}
	return c.db.Close()
}

// optimize has the database count its rows, for better plans. It does without where it
// cannot.
func (c *Catalog) optimize(ctx context.Context) {
	statement := "PRAGMA optimize=0x10002"
	if c.engine.numbered {
		statement = "ANALYZE"
	}
	_, _ = c.db.ExecContext(ctx, statement)
}

// maxTries bounds how often a transaction is run that collides with others.
const maxTries = 8

// tx runs a function in a transaction. PostgreSQL may end one for the sake of another
// writer; it is run again then.
func (c *Catalog) tx(ctx context.Context, do func(t *tx) error) error {
	for try := 1; ; try++ {
		err := c.tryTx(ctx, do)
		if err == nil || !isConflict(err) || try == maxTries {
			return c.named(err)
		}
	}
}

func (c *Catalog) tryTx(ctx context.Context, do func(t *tx) error) error {
	if c.writer != nil {
		return c.writeTx(ctx, do)
	}
	inner, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	t := &tx{ctx: ctx, on: inner, engine: c.engine, now: c.now().Unix()}
	if err := do(t); err != nil {
		_ = inner.Rollback()
		return err
	}
	return inner.Commit()
}

// writeTx runs a transaction on the connection for writing.
func (c *Catalog) writeTx(ctx context.Context, do func(t *tx) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A statement that is cancelled may have been run: whatever fails is rolled back.
	rollback := func() { _, _ = c.writer.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") }
	if _, err := c.writer.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		rollback()
		return err
	}
	t := &tx{ctx: ctx, on: c.writer, engine: c.engine, now: c.now().Unix(), kept: c.kept}
	err := do(t)
	if err == nil {
		_, err = c.writer.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		rollback()
	}
	return err
}

// tx is a transaction.
type tx struct {
	ctx    context.Context //nolint:containedctx // of one call
	on     connection
	engine *engine
	now    int64
	kept   map[string]*sql.Stmt // nil where the driver keeps statements
}

// connection is what a transaction runs on.
type connection interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// maxKept bounds the statements that are kept: this package has fewer.
const maxKept = 256

// prepared returns a statement that is kept, or nil where none is.
func (t *tx) prepared(statement string) (*sql.Stmt, error) {
	if t.kept == nil || len(t.kept) >= maxKept {
		return nil, nil //nolint:nilnil // the statement is run as it is
	}
	if s, ok := t.kept[statement]; ok {
		return s, nil
	}
	s, err := t.on.PrepareContext(context.WithoutCancel(t.ctx), statement)
	if err == nil {
		t.kept[statement] = s
	}
	return s, err
}

func (t *tx) exec(statement string, args ...any) error {
	s, err := t.prepared(statement)
	if s != nil && err == nil {
		_, err = s.ExecContext(t.ctx, args...)
	} else if err == nil {
		_, err = t.on.ExecContext(t.ctx, t.engine.bind(statement), args...)
	}
	return err
}

func (t *tx) query(statement string, args ...any) (*sql.Rows, error) {
	s, err := t.prepared(statement)
	if err != nil {
		return nil, err
	}
	if s != nil {
		return s.QueryContext(t.ctx, args...)
	}
	return t.on.QueryContext(t.ctx, t.engine.bind(statement), args...)
}

// get reads one row; it reports false where there is none.
func (t *tx) get(statement string, args []any, into ...any) (bool, error) {
	rows, err := t.query(statement, args...)
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(into...); err != nil {
		return false, err
	}
	return true, rows.Close()
}

// each calls a function for every row.
func (t *tx) each(row func(scan func(into ...any) error) error, statement string, args ...any) error {
	rows, err := t.query(statement, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, row)
}

// each is tx.each outside of a transaction.
func (c *Catalog) each(ctx context.Context, row func(scan func(into ...any) error) error, statement string, args ...any) error {
	rows, err := c.db.QueryContext(ctx, c.engine.bind(statement), args...)
	if err != nil {
		return c.named(err)
	}
	return c.named(eachRow(rows, row))
}

func eachRow(rows *sql.Rows, row func(scan func(into ...any) error) error) error {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// id returns the ID of a row that is found by a key, and makes it where it is missing.
func (t *tx) id(table, columns string, key ...any) (id int64, err error) {
	where, marks := whereOf(columns)
	found, err := t.get("SELECT id FROM "+table+" WHERE "+where, key, &id)
	if err != nil || found {
		return id, err
	}
	insert := "INSERT INTO " + table + " (" + columns + ") VALUES (" + marks + ") ON CONFLICT DO NOTHING RETURNING id"
	if found, err = t.get(insert, key, &id); err != nil || found {
		return id, err
	}
	_, err = t.get("SELECT id FROM "+table+" WHERE "+where, key, &id) // another writer was faster
	return id, err
}
