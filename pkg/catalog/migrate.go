package catalog

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed schema/*.sql
var schemas embed.FS

// migrations are the steps from nothing to the schema of this version, in order.
func migrations() []string {
	files, err := schemas.ReadDir("schema")
	if err != nil {
		return nil
	}
	var steps []string
	for _, file := range files {
		text, err := schemas.ReadFile(path.Join("schema", file.Name()))
		if err != nil {
			return nil
		}
		steps = append(steps, string(text))
	}
	return steps
}

// migrate brings the database up to date, all of it or nothing.
func (c *Catalog) migrate(ctx context.Context, steps []string) error {
	if c.engine.numbered {
		if err := c.makeSchema(ctx); err != nil {
			return err
		}
	}
	return c.tryTx(ctx, func(t *tx) error {
		if c.engine.lock != "" {
			if err := t.exec(c.engine.lock); err != nil {
				return err
			}
		}
		version, err := t.version()
		if err != nil {
			return err
		}
		if version > len(steps) {
			return c.newer(version, len(steps))
		}
		if version == len(steps) {
			return nil
		}
		if version == 0 {
			statements := slices.Concat([]string{"CREATE TABLE schema_version (version INTEGER NOT NULL)", "INSERT INTO schema_version VALUES (0)"}, c.engine.created)
			if err := t.all(statements); err != nil {
				return err
			}
		}
		for n, step := range steps[version:] {
			for word, instead := range c.engine.words {
				step = strings.ReplaceAll(step, word, instead)
			}
			if err := t.all(strings.Split(step, ";\n")); err != nil {
				return fmt.Errorf("bring the catalog %s to version %d: %w", c.name, version+n+1, err)
			}
		}
		return t.exec("UPDATE schema_version SET version = ?", len(steps))
	})
}

// makeSchema makes the schema where this account may, and uses one that is there where
// it may not.
func (c *Catalog) makeSchema(ctx context.Context) error {
	var there int
	if err := c.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = $1", pgSchema).Scan(&there); err != nil {
		return err
	}
	if there > 0 {
		return nil
	}
	return c.tryTx(ctx, func(t *tx) error {
		return errors.Join(t.exec(c.engine.lock), t.exec("CREATE SCHEMA IF NOT EXISTS "+pgSchema))
	})
}

// newer refuses what only a newer version understands.
func (c *Catalog) newer(version, mine int) error {
	return fmt.Errorf("open the catalog %s: it has schema version %d, this imagefit knows versions up to %d: use the newer imagefit, or another catalog",
		c.name, version, mine)
}

// checkVersion is for who may not change the database.
func (c *Catalog) checkVersion(ctx context.Context) error {
	return c.checkVersionAgainst(ctx, len(migrations()))
}

func (c *Catalog) checkVersionAgainst(ctx context.Context, mine int) error {
	var version int
	err := c.tryTx(ctx, func(t *tx) (err error) {
		version, err = t.version()
		return err
	})
	switch {
	case err != nil:
		return err
	case version > mine:
		return c.newer(version, mine)
	case version == 0:
		return fmt.Errorf("open the catalog %s: nothing is in it: begin with imagefit catalog add", c.name)
	case version < mine:
		return fmt.Errorf("open the catalog %s: it has schema version %d and this imagefit reads %d: imagefit catalog sync brings it up to date", c.name, version, mine)
	}
	return nil
}

// errForeign is about a database that is not a catalog.
var errForeign = errors.New("it is an SQLite database of another program")

// version is the version of the schema, 0 where there is none.
func (t *tx) version() (version int, err error) {
	var tables int
	if t.engine.foreign != "" {
		if _, err := t.get(t.engine.foreign, nil, &tables); err != nil || tables > 0 {
			return 0, cmp.Or(err, errForeign)
		}
	}
	if _, err := t.get(t.engine.has, nil, &tables); err != nil || tables == 0 {
		return 0, err
	}
	_, err = t.get("SELECT version FROM schema_version", nil, &version)
	return version, err
}

func (t *tx) all(statements []string) error {
	for _, statement := range statements {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if err := t.exec(statement); err != nil {
			return err
		}
	}
	return nil
}

// whereOf makes of a list of columns a condition and as many marks.
func whereOf(columns string) (where, marks string) {
	names := strings.Split(columns, ", ")
	conditions := make([]string, len(names))
	for i, name := range names {
		conditions[i] = name + " = ?"
	}
	return strings.Join(conditions, " AND "), strings.TrimSuffix(strings.Repeat("?, ", len(names)), ", ")
}
