package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

const (
	hostsDir = "../../pkg/hostfacts/testdata/hosts"
	xeon     = hostsDir + "/xeon-server.json"
	graviton = hostsDir + "/arm64-graviton4.json"
)

// asked is a node with a registry of two images: app has variants of x86-64 by level, and
// new needs a kernel of major version 7.
type asked struct{ config, list, app, new string }

func newAsked(t *testing.T) asked {
	t.Helper()
	_, config := imagesNode(t)
	reg := fakeregistry.New(t, fakeregistry.Options{})
	app, other := reg.In("app"), reg.In("new")
	app.Index("1", app.Image("linux/amd64", "v1"), app.Image("linux/amd64/v3", "v3"), app.Image("linux/amd64/v4", "v4"))
	only := other.Image("linux/amd64", "new")
	other.Index("1", only)
	other.Attach(only, fakeregistry.Artifact{Attributes: `"kernel-version.major": 7`})
	a := asked{config: config, app: app.Reference(":1"), new: other.Reference(":1")}
	a.list = write(t, "images.txt", "# what we ship\n"+a.app+"\n\n"+a.new+" # from next week\n"+a.app+"\n")
	return a
}

// ask runs a command line about the images.
func (a asked) ask(t *testing.T, want int, args ...string) string {
	t.Helper()
	got := tool(t, "", append(args, "--config", a.config)...)
	code := 0
	if exit, ok := errors.AsType[cli.ExitError](got.err); ok {
		code = int(exit)
	} else if got.err != nil {
		t.Fatalf("%q: %v", args, got.err)
	}
	if code != want {
		t.Errorf("%q: exit code %d, want %d\n%s", args, code, want, got.stdout)
	}
	return got.stdout
}

// hostOf writes the facts of a host after a change to newer.json.
func hostOf(t *testing.T, file, change string) string {
	t.Helper()
	known, err := (factsLoader{}).load(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if known, err = hostfacts.Change(known, change); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(known)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "newer.json", string(text))
}

func wantTexts(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
}

func TestImagesAreEvaluatedOnOtherHosts(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	a := newAsked(t)
	out := a.ask(t, 3, "audit", "--images", a.list, "--facts", xeon, "--facts", graviton, milan)
	wantTexts(t, out, a.new+"   xeon-server and 1 more   does not fit   -", "needs kernel.version >= 7 (is 5.14.0",
		"arm64-graviton4", "2 images on 3 hosts: 2 fit, 4 do not fit, 0 unknown\n")
	if strings.Contains(out, a.app+"   xeon") {
		t.Errorf("what fits is listed without --all:\n%s", out)
	}
	wantTexts(t, a.ask(t, 3, "audit", "--all", "--images", a.list, "--facts", xeon, milan),
		a.app+"   xeon-server              fits           linux/amd64/v4", a.app+"   vm-milan")

	var o outlook
	if err := json.Unmarshal([]byte(a.ask(t, 3, "audit", "-o", "json", "--images", a.list, "--facts", xeon)), &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Results) != 2 || o.Results[1].Image != a.new || o.Results[1].Host != "xeon-server" || len(o.Results[1].Failing) != 1 ||
		o.Counts.Unfit != 1 {
		t.Errorf("JSON %+v", o)
	}
	wantTexts(t, a.ask(t, 3, "audit", "-o", "csv", "--images", a.list, "--facts", xeon),
		"image,host,verdict,variant,digest,reason\n"+a.app+",xeon-server,fits,linux/amd64/v4,sha256:")
	wantTexts(t, a.ask(t, 3, "audit", "-o", "html", "--images", a.list, "--facts", xeon), "<!DOCTYPE html>", a.app, "kernel.version")

	folder := t.TempDir()
	for name, of := range map[string]string{"a.json": xeon, "b.json": milan} {
		text, err := os.ReadFile(of)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantTexts(t, a.ask(t, 3, "audit", "--images", a.list, "--facts", folder), "a and 1 more", "2 images on 2 hosts")
	nodes := write(t, "nodes.json", `{"kind": "List", "items": [
		{"kind": "NodeFeature", "metadata": {"name": "one"}, "spec": {"features": {"attributes": {"kernel.version": {"elements": {"major": "7", "full": "7.0.0"}}}}}},
		{"kind": "NodeFeature", "metadata": {"name": "two"}, "spec": {"features": {"attributes": {"kernel.version": {"elements": {"major": "5", "full": "5.0.0"}}}}}}]}`)
	wantTexts(t, a.ask(t, 3, "audit", "--images", a.list, "--facts", nodes, "--arch", "amd64"), a.new+"   two", "2 images on 2 hosts")
}

func TestChangeOfAHostIsAnswered(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	a := newAsked(t)
	better := a.ask(t, 0, "audit", "--images", a.list, "--facts", xeon, "--facts-change", "kernel.version=7.1.0")
	wantTexts(t, better, "BEFORE", a.new+"   xeon-server   does not fit   fits: linux/amd64@sha256:", "1 change, 0 of them for the worse")
	if strings.Contains(better, a.app) {
		t.Errorf("what does not change is listed:\n%s", better)
	}
	other := a.ask(t, 0, "audit", "--images", a.list, "--facts", xeon, "--facts-change", "cpu.cpuid/AVX512F=false")
	wantTexts(t, other, a.app+"   xeon-server   fits: linux/amd64/v4@sha256:", "fits: linux/amd64/v3@sha256:")
	newer := hostOf(t, xeon, "kernel.version=7.1.0")
	wantTexts(t, a.ask(t, 3, "audit", "--images", a.list, "--facts", newer, "--facts-change", "kernel.version=6.1"),
		a.new+"   newer   fits: ", "1 change, 1 of them for the worse")

	fleet := tool(t, "", "audit", "--config", a.config, "--images", a.list, "--facts", xeon, milan, "--facts-change", "nvidia.driver=580.65.06")
	if !strings.Contains(fleet.stderr, "1 of 2 hosts stay as they are: ") {
		t.Errorf("stderr %q", fleet.stderr)
	}
	wantError(t, tool(t, "", "audit", "--config", a.config, "--images", a.list, "--facts", milan, "--facts-change", "kernel.versoin=6").err,
		"is kernel.version meant?")
}

func TestFactsDiffTellsWhatItMeansForImages(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	a := newAsked(t)
	out := a.ask(t, 3, "facts", "diff", xeon, milan, "--images", a.list)
	wantTexts(t, out, "- cpu.cpuid AVX512F", a.app+"   vm-milan   fits: linux/amd64/v4@sha256:", "2 images on 1 host")
	var d difference
	if err := json.Unmarshal([]byte(a.ask(t, 3, "facts", "diff", xeon, milan, "--images", a.list, "-o", "json")), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Facts) == 0 || len(d.Images) != 1 || d.Images[0].Image != a.app || d.Images[0].Before.Platform != "linux/amd64/v4" {
		t.Errorf("JSON: %d facts, images %+v", len(d.Facts), d.Images)
	}
	if same := a.ask(t, 0, "facts", "diff", xeon, xeon, "--images", a.list); !strings.Contains(same, "0 change") {
		t.Errorf("no difference:\n%s", same)
	}
}

func TestWrongQuestionsAreExplained(t *testing.T) {
	t.Parallel()
	_, config := imagesNode(t)
	empty := write(t, "empty.txt", "# nothing\n")
	for line, want := range map[string]string{
		"audit nodes.json": "behind --facts only",
		"audit -o html":    "with --facts, --facts-change, --images or --catalog",
		"audit --images " + empty + " --facts " + milan:           "lists no images",
		"audit --images /none --facts " + milan:                   "/none",
		"audit --images - --facts -":                              "only one of --images and --facts",
		"audit --facts /none":                                     "/none",
		"audit --facts " + milan:                                  "name some with --images FILE",
		"facts diff - live --images -":                            "only one of A, B and --images",
		"facts diff " + milan + " " + xeon + " --images " + empty: "lists no images",
	} {
		wantError(t, tool(t, "", append(strings.Fields(line), "--config", config)...).err, want)
	}
}
