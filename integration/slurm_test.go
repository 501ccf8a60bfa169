package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

const flagsAVX512 = flagsV3 + " avx512f avx512bw avx512cd avx512dq avx512vl"

// slurmScene is a Slurm of three nodes, what imagefit knows of them, and images.
type slurmScene struct {
	t       *testing.T
	slurm   *stack.Slurm
	bin     string // imagefit
	config  string
	facts   string // folder of facts
	classes string // what imagefit export classes printed
	image   string // of three variants
	nowhere string // an image that fits no node
	missing string
	by      []string // flags of export classes
}

// newSlurmScene starts Slurm; node n1 is of x86-64-v2, n2 of v3, and n3 of v3 with a module.
func newSlurmScene(t *testing.T) *slurmScene {
	t.Helper()
	switch err := stack.SlurmUsable(); {
	case err != nil && os.Getenv(requireEnv) == "1":
		t.Fatalf("%s=1, but Slurm %v", requireEnv, err)
	case err != nil:
		t.Skipf("Slurm %v", err)
	}
	registry := startRegistry(t)
	app, none := registry.Repo("app"), registry.Repo("nowhere")
	_, manifests, err := app.PushIndex(t.Context(), "1", variants("amd64/v2", "amd64/v3", "amd64")...)
	if err != nil {
		t.Fatal(err)
	}
	needs(t, app, manifests[2], `"cpu-cpuid.AVX2": true, "kernel-loadedmodule.nvidia": true`)
	if _, _, err := none.PushIndex(t.Context(), "1", variants("amd64/v4")...); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &slurmScene{
		t: t, config: filepath.Join(dir, "config.toml"), facts: filepath.Join(dir, "nodes"), classes: filepath.Join(dir, "classes.json"),
		image: app.Ref("1"), nowhere: none.Ref("1"), missing: app.Ref("missing"),
	}
	bin, err := stack.Binaries(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.bin = filepath.Join(bin, "imagefit")
	s.write(s.config, "version = 1\nstate_dir = \""+t.TempDir()+"\"\n")
	if err := os.Mkdir(s.facts, 0o700); err != nil {
		t.Fatal(err)
	}
	s.node("n1", flagsV2, false)
	s.node("n2", flagsV3, false)
	s.node("n3", flagsV3, true)
	recipe, err := os.ReadFile("../deploy/slurm/cli_filter.lua")
	if err != nil {
		t.Fatal(err)
	}
	filter := string(recipe)
	for _, setting := range [][2]string{
		{`local imagefit = "imagefit"`, `local imagefit = "` + s.bin + `"`},
		{`"/etc/imagefit/classes.json"`, `"` + s.classes + `"`},
		{`local prefer_best = false`, `local prefer_best = true`},
		{`local flags = ""`, `local flags = "--config ` + s.config + `"`},
	} {
		if strings.Count(filter, setting[0]) != 1 {
			t.Fatalf("the recipe does not have %s once", setting[0])
		}
		filter = strings.ReplaceAll(filter, setting[0], setting[1])
	}
	if s.slurm, err = stack.StartSlurm(t.Context(), filter, "n1", "n2", "n3"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.slurm.Tail(15))
		}
		if err := s.slurm.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *slurmScene) write(file, text string) {
	s.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// node writes the facts of a node.
func (s *slurmScene) node(name, flags string, module bool) {
	s.t.Helper()
	root := host(s.t, flags)
	if module {
		s.write(filepath.Join(root, "proc/modules"), "nvidia 1 0 - Live 0x0\n")
	}
	text, errs, code := tool(s.t, "facts", "--root", root, "-o", "json")
	if code != 0 {
		s.t.Fatalf("facts ended with %d: %s", code, errs)
	}
	s.write(filepath.Join(s.facts, name+".json"), text)
}

// run runs imagefit as a user of Slurm.
func (s *slurmScene) run(args ...string) string {
	s.t.Helper()
	out, errs, err := s.slurm.Command(s.t.Context(), nil, s.bin, append(args, "--config", s.config)...)
	if err != nil {
		s.t.Fatalf("imagefit %q: %v: %s", args, err, errs)
	}
	return strings.TrimSpace(out)
}

// tell tells Slurm the classes of the nodes as they are now.
func (s *slurmScene) tell() {
	s.t.Helper()
	images := filepath.Join(s.t.TempDir(), "images")
	s.write(images, s.image+"\n")
	s.write(s.classes, s.run(append([]string{"export", "classes", "--nodes", s.facts, "--images", images}, s.by...)...))
	lines := s.run("export", "slurm", "--nodes", s.classes, "--current", "@slurm")
	if out, errs, err := s.slurm.Command(s.t.Context(), nil, "sh", "-ec", lines); err != nil {
		s.t.Fatalf("%s: %v: %s%s", lines, err, out, errs)
	}
}

func (s *slurmScene) lands(want string, flags ...string) {
	s.t.Helper()
	node, errs, err := s.slurm.Submit(s.t.Context(), nil, flags...)
	if err != nil || node != want {
		s.t.Errorf("sbatch %q ran on %q, want %s: %v: %s", flags, node, want, err, errs)
	}
}

// Jobs of a real Slurm run where their image fits, the best nodes first, by the
// constraints that imagefit match prints and by the recipe for cli_filter.
func TestJobsOfSlurmRunWhereTheirImageFits(t *testing.T) {
	s := newSlurmScene(t)
	s.tell()
	s.checkMatchIsExplain()

	constraint := s.run("match", s.image, "--nodes", s.classes, "-o", "slurm-constraint")
	prefer := s.run("match", s.image, "--nodes", s.classes, "-o", "slurm-prefer")
	s.lands("n3", "-C", constraint, "--prefer", prefer)
	s.lands("n2", "-C", constraint, "--exclude=n1,n3")
	s.lands("n3", "--comment=image="+s.image)

	s.node("n1", flagsAVX512, false) // only there, after this
	if _, errs, err := s.slurm.Submit(t.Context(), nil, "--comment=image="+s.nowhere); err == nil ||
		!strings.Contains(errs, "no variant of "+s.nowhere+" fits this node: linux/amd64/v4 needs cpu.x86_64 level >= 4 (is 3)") {
		t.Errorf("an image that fits nowhere: %v: %s", err, errs)
	}
	s.tell() // n1 is replaced by a better machine, and no daemon of Slurm is restarted
	s.lands("n1", "--comment=image="+s.nowhere)

	s.node("n2", flagsV3, true) // the module is loaded there now, and on n3 no more
	s.node("n3", flagsV3, false)
	s.tell()
	s.lands("n2", "--comment=image="+s.image)

	// What the user wants as well is kept.
	if _, errs, err := s.slurm.Command(t.Context(), nil, "sh", "-ec", `features=$(scontrol show node n3 --oneliner | sed 's/.*AvailableFeatures=\([^ ]*\).*/\1/')
scontrol update NodeName=n3 AvailableFeatures=$features,big ActiveFeatures=$features,big`); err != nil {
		t.Fatal(err, errs)
	}
	s.lands("n3", "-C", "big", "--comment=image="+s.image)
	s.tell()
	s.lands("n3", "-C", "big", "--comment=image="+s.image)
	s.lands("n1", "--exclude=n2,n3", "--comment=image="+s.image)

	// So it is with parentheses, of which Slurm takes one level; what cannot be joined is
	// told.
	only := s.run("match", s.nowhere, "--nodes", s.classes, "-o", "slurm-constraint")
	s.lands("n1", "-C", "(big|"+only+")", "--comment=image="+s.nowhere)
	if node, errs, err := s.slurm.Submit(t.Context(), nil, "-C", "[big|"+only+"]", "--comment=image="+s.nowhere); err != nil || node == "" ||
		!strings.Contains(errs, "cannot be added to the constraint") {
		t.Errorf("a constraint with brackets: %q: %v: %s", node, err, errs)
	}

	s.addPyxis()
	s.lands("n1", "--container-image="+strings.Replace(s.nowhere, "/", "#", 1))
	s.lands("n1", "--container-image=docker://user@"+strings.Replace(s.nowhere, "/", "#", 1))
	if node, errs, err := s.slurm.Submit(t.Context(), nil, "--container-image=./file.sqsh"); err != nil || node == "" {
		t.Errorf("a file of Pyxis: %v: %s", err, errs)
	}

	// What cannot be found out rejects no job; what is not a reference is not run.
	if node, errs, err := s.slurm.Submit(t.Context(), nil, "--comment=image="+s.missing); err != nil || node == "" {
		t.Errorf("an image that is not there: %v: %s", err, errs)
	}
	if _, errs, err := s.slurm.Submit(t.Context(), nil, "--comment=image=a';touch${IFS}x;'"); err == nil || !strings.Contains(errs, "is not the reference of an image") {
		t.Errorf("a bad reference: %v: %s", err, errs)
	}
}

// addPyxis adds a SPANK plugin with the name and the option of Pyxis.
func (s *slurmScene) addPyxis() {
	s.t.Helper()
	out, _, err := s.slurm.Command(s.t.Context(), nil, "slurmctld", "-V")
	if err != nil {
		s.t.Fatal(err)
	}
	var major, minor, micro int
	if _, err := fmt.Sscanf(out[strings.LastIndex(out, " ")+1:], "%d.%d.%d", &major, &minor, &micro); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	library := filepath.Join(s.t.TempDir(), "pyxis.so")
	version := fmt.Sprintf("-DVERSION=%d", major<<16|minor<<8|micro)
	if out, errs, err := s.slurm.Command(s.t.Context(), nil, "gcc", "-shared", "-fPIC", version, "-o", library, testdata(s.t, "pyxis_option.c")); err != nil {
		s.t.Fatalf("%v: %s%s", err, out, errs)
	}
	s.write(filepath.Join(filepath.Dir(s.slurm.Conf), "plugstack.conf"), "optional "+library+"\n")
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// By facts the same jobs run on the same nodes, by features that people can read; Slurm
// reads several alternatives as they are meant.
func TestJobsOfSlurmRunByFacts(t *testing.T) {
	s := newSlurmScene(t)
	s.by = []string{"--by", "facts"}
	s.tell()
	ask := func(image, format string) string {
		return s.run("match", image, "--nodes", "@slurm", "--nodes", s.classes, "--by", "facts", "-o", format)
	}
	constraint, prefer := ask(s.image, "slurm-constraint"), ask(s.image, "slurm-prefer")
	const module = "imagefit_amd64&imagefit_cpu.cpuid.AVX2&imagefit_kernel.loadedmodule.nvidia"
	if constraint != "("+module+")|imagefit_x86_64_v2" || prefer != module {
		t.Errorf("constraint %s, prefer %s", constraint, prefer)
	}
	s.lands("n3", "-C", constraint, "--prefer", prefer)
	for _, node := range []string{"n1", "n2", "n3"} {
		others := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll("n1,n2,n3", node, ""), ",,", ","), ",,", ",")
		s.lands(node, "-C", constraint, "--exclude="+strings.Trim(others, ","))
	}
	s.lands("n3", "-C", prefer)
	s.lands("n3", "-C", "imagefit_x86_64_v3&imagefit_kernel.loadedmodule.nvidia") // as a user writes it

	s.node("n3", flagsV3, false) // the module is gone, and with it the feature
	s.tell()
	if node, _, err := s.slurm.Submit(t.Context(), nil, "-C", module); err == nil {
		t.Errorf("a job with a feature that no node has any more ran on %s", node)
	}
	if got := ask(s.image, "slurm-constraint"); got != "imagefit_x86_64_v2" {
		t.Errorf("constraint %s", got)
	}
	s.by = []string{"--by", "class"}
	s.tell()
	if got := ask(s.image, "slurm-constraint"); strings.Contains(got, "x86_64") || !strings.Contains(got, "|") {
		t.Errorf("Slurm knows classes only, and is asked for %s", got)
	}
}

// checkMatchIsExplain compares what match says of each node with what explain says there.
func (s *slurmScene) checkMatchIsExplain() {
	s.t.Helper()
	var matched struct {
		Images []struct {
			Classes []struct {
				Nodes           []string
				Outcome, Digest string
				Rank            int
			}
		}
	}
	if err := json.Unmarshal([]byte(s.run("match", s.image, "--nodes", s.classes, "-o", "json")), &matched); err != nil {
		s.t.Fatal(err)
	}
	seen := map[string]int{}
	for _, class := range matched.Images[0].Classes {
		for _, node := range class.Nodes {
			var explained struct {
				Choice     int
				Candidates []struct{ Digest, Outcome string }
			}
			text := s.run("explain", s.image, "--facts", filepath.Join(s.facts, node+".json"), "-o", "json")
			if err := json.Unmarshal([]byte(text), &explained); err != nil {
				s.t.Fatal(err)
			}
			choice := explained.Candidates[explained.Choice]
			if choice.Digest != class.Digest || choice.Outcome != class.Outcome {
				s.t.Errorf("%s: match says %+v, explain %+v", node, class, choice)
			}
			seen[node] = class.Rank
		}
	}
	if seen["n1"] != 3 || seen["n2"] != 2 || seen["n3"] != 1 || len(seen) != 3 {
		s.t.Errorf("ranks %v: %+v", seen, matched)
	}
}
