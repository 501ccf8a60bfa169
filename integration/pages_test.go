package integration

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/browser"
	"github.com/imagefit/imagefit/integration/stack"
)

// update reports whether pictures in docs are to be taken again.
func update() bool { return flag.Lookup("update").Value.String() == "true" }

// written has the tool write a page, whose path is the last argument, and opens it.
func (f *fit) written(t *testing.T, b *browser.Browser, command ...string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.html")
	if out := f.answer(t, append(command, path)...); out != "" {
		t.Logf("%s says %s", strings.Join(command, " "), out)
	}
	b.Open(path)
	requests, dialogs, problems := b.Seen()
	if len(requests) != 1 || dialogs > 0 || len(problems) > 0 {
		t.Errorf("the page asks for %s, opens %d dialogs, and has problems %s", requests, dialogs, problems)
	}
}

func picture(t *testing.T, b *browser.Browser, name string) {
	t.Helper()
	path := filepath.Join("../docs", name)
	if !update() {
		if info, err := os.Stat(path); err != nil || info.Size() > 300<<10 {
			t.Errorf("%v: take it with -update", err)
		}
		return
	}
	if err := os.WriteFile(path, b.Screenshot(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPagesOfANodeAreReadInABrowser opens the report of a node on which something ran, and the one of
// a catalog of its registry.
func TestPagesOfANodeAreReadInABrowser(t *testing.T) {
	root := host(t, flagsV3)
	f := startFitOn(t, startContainerd(t, stack.Options{}), startRegistry(t), root, stack.Settings{
		Facts: `refresh = "100ms"`, Policy: `mode_annotation_namespaces = ["trial"]`})
	f.startPlugin(t)
	life := f.life(t, root)
	for round := range 6 {
		life(round)
	}
	runs(t, f, f.registry.Repo("app").Ref("1"))
	absent := "version = 1\nabsent = [\"cpu.cpuid/AVX2\"]\n"
	if err := os.WriteFile(filepath.Join(root, "etc/imagefit/facts.d/10-hypervisor.toml"), []byte(absent), 0o600); err != nil {
		t.Fatal(err)
	}
	b := browser.Start(t, 1200, 900)
	t.Run("report", func(t *testing.T) { f.testReportPage(t, b) })
	t.Run("catalog", func(t *testing.T) { f.testCatalogPage(t, b) })
}

func (f *fit) testReportPage(t *testing.T, b *browser.Browser) {
	f.written(t, b, "imagefit", "report")
	var headings []string
	b.Eval("[...document.querySelectorAll('h2')].map((h) => h.textContent)", &headings)
	for _, want := range []string{"Health", "What would not be admitted now", "Images", "Decisions", "How long pulls took",
		"How long decisions about containers took", "Configuration", "Facts: cpu"} {
		if !slices.Contains(headings, want) {
			t.Errorf("no section %q, but %q", want, headings)
		}
	}
	const section = "[...document.querySelectorAll('section')].find((s) => s.querySelector('h2')?.textContent === '%s')"
	in := func(heading, script string) string { return strings.Replace(section, "%s", heading, 1) + script }
	if got := b.Text(in("What would not be admitted now", ".textContent")); !strings.Contains(got, "refused") || !strings.Contains(got, "needs cpu.cpuid AVX2 (absent)") {
		t.Errorf("what would not be admitted: %s", got)
	}
	var values []string
	b.Eval(in("How long pulls took", ".querySelectorAll('circle title').values().map((e) => e.textContent).toArray()"), &values)
	if len(values) < 10 || !strings.Contains(values[0], "/app:1") {
		t.Errorf("%d values are plotted: %q", len(values), values)
	}
	b.Eval(in("Decisions", ".querySelector('summary').id = 'decisions'"), nil)
	b.Click("#decisions")
	b.Await(in("Decisions", ".querySelector('details').open && document.querySelector('#decisions').offsetParent !== null"))
	if got := b.Text(in("Decisions", ".querySelector('tbody').innerText")); !strings.Contains(got, "refused") || !strings.Contains(got, "AMXINT8 (absent)") {
		t.Errorf("decisions: %s", got)
	}
	b.Click("#decisions")
	b.Eval("scrollTo(0, 0)", nil)
	picture(t, b, "report.png")
}

func (f *fit) testCatalogPage(t *testing.T, b *browser.Browser) {
	dir := t.TempDir()
	list, db := filepath.Join(dir, "images"), filepath.Join(dir, "catalog.db")
	var images strings.Builder
	for _, name := range []string{"app", "unfit"} {
		images.WriteString(f.registry.Repo(name).Ref("1") + "\n")
	}
	if err := os.WriteFile(list, []byte(images.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	f.answer(t, "imagefit", "catalog", "--db", db, "add", "--list", list)
	f.answer(t, "imagefit", "catalog", "--db", db, "sync")
	command := []string{"imagefit", "catalog", "--db", db, "report"}
	for _, node := range [][2]string{{"old-node.json", flagsV2}, {"new-node.json", flagsV3}} {
		file := filepath.Join(dir, node[0])
		if err := os.Rename(factsOf(t, node[1]), file); err != nil {
			t.Fatal(err)
		}
		command = append(command, "--facts", file)
	}
	f.written(t, b, append(command, "--html")...)
	b.Await("document.querySelector('.grid tbody td')")
	b.Point(".grid tbody tr:nth-child(2) td")
	b.Await("document.querySelector('.detail').textContent.includes('AMXINT8')")
	picture(t, b, "catalog.png")
}
