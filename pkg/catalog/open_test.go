package catalog_test

import (
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/catalogtest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/catalog"
)

// change runs a statement on a file of SQLite as another program would.
func change(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
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

func TestADatabaseThatIsNotACatalogIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := filepath.Join(dir, "good.db")
	c := openAt(t, good, catalog.Options{})
	reg := fakeregistry.New(t, fakeregistry.Options{})
	catalogtest.Fill(reg)
	catalogtest.Add(t, c, reg.Host())
	catalogtest.Sync(t, catalogtest.Syncer(t, c))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newer := file("newer.db", text)
	change(t, newer, "UPDATE schema_version SET version = 99")
	foreign := filepath.Join(dir, "foreign.db")
	change(t, foreign, "CREATE TABLE moz_places (id INTEGER)")
	damaged := append([]byte{}, text...)
	for i := 4096; i < len(damaged); i++ {
		damaged[i] ^= 0x5a
	}
	tests := []struct{ name, path, want string }{
		{"text", file("text.db", []byte(strings.Repeat("not a database ", 20))), "it is not an SQLite database"},
		{"short", file("short.db", text[:50]), "it is not an SQLite database"},
		{"truncated", file("truncated.db", text[:len(text)/2]), "it is truncated"},
		{"damaged", file("damaged.db", damaged), "it is damaged"},
		{"of another program", foreign, "it is an SQLite database of another program"},
		{"newer", newer, "it has schema version 99, this imagefit knows versions up to 2: use the newer imagefit"},
		{"a folder", dir, "it is not a regular file"},
	}
	for _, tt := range tests {
		for _, readOnly := range []bool{false, true} {
			before, _ := os.ReadFile(tt.path)
			c, err := catalog.Open(t.Context(), tt.path, catalog.Options{ReadOnly: readOnly})
			if err == nil {
				_ = c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path) {
				t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
			}
			if after, _ := os.ReadFile(tt.path); string(after) != string(before) {
				t.Errorf("%s: the file was changed", tt.name)
			}
		}
	}
	openAt(t, file("empty.db", nil), catalog.Options{}) // becomes one
}

// A registry that lies costs no more than its bounds, and the rest of it is read.
func TestARegistryThatLiesIsBounded(t *testing.T) {
	t.Parallel()
	reg := fakeregistry.New(t, fakeregistry.Options{})
	catalogtest.Fill(reg)
	reg.In("lies/size").Image("linux/amd64", "size", "1")
	reg.In("lies/entries").Image("linux/amd64", "entries", "1")
	page := 0
	reg.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/v2/lies/size/manifests/1": // the digest of nothing that there is
			w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			w.Header().Set("Content-Length", "1000")
			return true
		case "/v2/lies/entries/tags/list": // pages without end
			page++
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Link", `</v2/lies/entries/tags/list?last=x>; rel="next"`)
			_, _ = w.Write([]byte(`{"tags": []}`))
			return true
		}
		return false
	})
	c := openAt(t, filepath.Join(t.TempDir(), "catalog.db"), catalog.Options{})
	catalogtest.Add(t, c, reg.Host())
	sources, err := c.Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := catalogtest.Syncer(t, c).Sync(t.Context(), sources)
	if err != nil || s.New != 12 || s.Problems != 1 || len(s.Failed) != 1 || !strings.Contains(s.Failed[0].Error, "pages in a row have no name") {
		t.Errorf("%v %+v", err, s)
	}
	if page > 200 {
		t.Errorf("%d pages were requested", page)
	}
	shown, err := c.Show(t.Context(), reg.Host()+"/lies/size:1")
	if err != nil || shown.Error == "" || shown.Digest != "" {
		t.Errorf("%v %+v", err, shown)
	}
	if got := catalogtest.Answer(t, c, reg.Host(), "requires mpi.host"); got != "hpc/mpi:1 amd64, hpc/mpi:1 arm64" {
		t.Error(got)
	}
}

func TestQueriesThatAreWrongAreMarked(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"nmae = x":                    "column 1: there is no field \"nmae\": is name meant?\n  nmae = x\n  ^",
		"name":                        "column 5: expected an operator after name: = != ~\n  name\n      ^",
		"name = ":                     "column 8: expected a value after =",
		"name > x":                    "column 6: name is compared with = != ~, not with >",
		"created > yesterday":         "column 11: \"yesterday\" is not a time",
		"artifacts = many":            "column 13: \"many\" is not a whole number",
		"(tag = 1":                    "column 9: expected ), found the end",
		"tag = 1 tag = 2":             "column 9: expected and, or, or the end",
		"requires":                    "column 9: expected an attribute after requires",
		"requires kernel.version > x": "column 27: \"x\" is not a number or a version",
		"requires a != b":             "column 12: attributes are compared with = ~ < <= > >=",
		"name = \"x":                  "column 8: the quote is not closed",
		"kernel.version >= 6":         "attributes come after a verb, as in requires kernel.version",
		strings.Repeat("(", 100):      "more than 64 levels",
		strings.Repeat("not ", 100):   "more than 64 levels",
		"größe = 1 and size = x":      "column 1: there is no field",
		"tag = größe and size = x":    "column 24: \"x\" is not a size",
	} {
		_, err := catalog.ParseExpression(query)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", query, err, want)
		}
	}
	for _, query := range []string{"", "not signed", `name ~ "a b" or (tag = 'x' and NOT created > 2w)`, "requires x and requires y"} {
		if _, err := catalog.ParseExpression(query); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}
