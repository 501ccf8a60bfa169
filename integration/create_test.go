package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// machine is an architecture with CPUs that qemu-user has the instructions of.
type machine struct {
	qemu, root string // root has the loader and the C library
	compilers  []string
	cpus       []string
	programs   map[string][]string // to compile, each with these options
	info       string              // of /proc/cpuinfo before the flags
}

// TestCreateRequiresWhatProgramsCrashWithout builds programs with many options, runs
// them on many CPUs, and compares with what create and check say: no program that
// crashes fits, and none that runs is refused.
func TestCreateRequiresWhatProgramsCrashWithout(t *testing.T) {
	var marches []string
	for _, march := range strings.Fields("x86-64 core2 nehalem westmere sandybridge ivybridge haswell skylake atom amdfam10 btver1 bdver1 bdver2 " +
		"bdver4 znver1 znver3 x86-64-v2 x86-64-v3 x86-64-v4 skylake-avx512 native") {
		marches = append(marches, "-O3 -march="+march)
	}
	holdAgainstQemu(t, machine{
		qemu: "qemu-x86_64", compilers: []string{"gcc", "clang"},
		cpus: strings.Fields("qemu64 Conroe Penryn Nehalem Nehalem,-popcnt Westmere SandyBridge IvyBridge Haswell Haswell,-movbe " +
			"Skylake-Client Opteron_G1 Opteron_G3 Opteron_G5 EPYC max max,-fma"),
		programs: map[string][]string{
			"math.c": marches, "plain.c": {"-O2 -march=skylake-avx512", "-O2 -march=bdver4"},
			"dispatch.c": {"-O2", "-O3"}, "intrinsics.c": {"-O2 -maes -msse4.2"},
		},
		info: "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 60\nmodel name\t: Test CPU\nflags\t\t: ",
	})
}

// TestCreateRequiresWhatProgramsForArmCrashWithout is the same on 64-bit Arm.
func TestCreateRequiresWhatProgramsForArmCrashWithout(t *testing.T) {
	all := []string{
		"-O2", "-O3 -march=armv8-a+crc", "-O3 -march=armv8.1-a", "-O3 -march=armv8.2-a+dotprod+fp16", "-O3 -march=armv8.2-a+sve",
		"-O3 -march=armv9-a", "-O3 -mno-outline-atomics", "-O3 -mcpu=neoverse-n1", "-O3 -mcpu=a64fx",
	}
	holdAgainstQemu(t, machine{
		qemu: "qemu-aarch64", root: "/usr/aarch64-linux-gnu", compilers: []string{"aarch64-linux-gnu-gcc"},
		cpus:     strings.Fields("cortex-a53 cortex-a72 cortex-a76 neoverse-n1 a64fx max"),
		programs: map[string][]string{"math.c": all, "atomics.c": all, "plain.c": {"-O2 -march=armv9-a"}},
		info:     "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd03\nCPU revision\t: 4\nFeatures\t: ",
	})
}

func holdAgainstQemu(t *testing.T, m machine) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: compiles and emulates some hundred programs")
	}
	for _, program := range append([]string{m.qemu}, m.compilers...) {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv(requireEnv) == "1" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	nodes := m.nodes(t, dir)
	h := holder{machine: m, nodes: nodes, right: m.plain(t, dir), verdicts: map[string]int{}}
	for source, all := range m.programs {
		for _, compiler := range m.compilers {
			for _, link := range []string{"", "-static"} {
				for _, options := range all {
					name := filepath.Join(dir, strings.NewReplacer(" ", "", "/", "").Replace(source+compiler+link+options))
					args := slices.Concat(strings.Fields(options+" "+link), []string{"-s", "-o", name, filepath.Join("testdata/programs", source), "-lm"})
					if out, err := exec.CommandContext(t.Context(), compiler, args...).CombinedOutput(); err != nil {
						t.Logf("%s does not compile: %s", name, bytes.SplitN(out, []byte("\n"), 2)[0]) // an unknown -march
						continue
					}
					h.hold(t, name)
				}
			}
		}
	}
}

// nodes writes the facts of each CPU.
func (m machine) nodes(t *testing.T, dir string) map[string]string {
	t.Helper()
	program := filepath.Join(dir, "cpuflags")
	if out, err := exec.CommandContext(t.Context(), m.compilers[0], "-static", "-o", program, "testdata/programs/cpuflags.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	nodes := map[string]string{}
	for _, cpu := range m.cpus {
		flags, ok := m.run(t, cpu, program)
		if !ok {
			t.Fatalf("%s does not tell its flags", cpu)
		}
		root := host(t, "")
		if err := os.WriteFile(filepath.Join(root, "proc/cpuinfo"), []byte(m.info+flags+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		facts, errs, code := tool(t, "facts", "--root", root, "-o", "json")
		if code != 0 {
			t.Fatalf("facts of %s: %s", cpu, errs)
		}
		nodes[cpu] = filepath.Join(dir, cpu+".json")
		if err := os.WriteFile(nodes[cpu], []byte(facts), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// run returns what a program prints, and whether it ends well.
func (m machine) run(t *testing.T, cpu, program string) (string, bool) {
	t.Helper()
	args := []string{"-cpu", cpu, program}
	if m.root != "" {
		args = append([]string{"-L", m.root}, args...)
	}
	cmd := exec.CommandContext(t.Context(), m.qemu, args...)
	cmd.Env = stack.Environ()
	out, err := cmd.Output()
	return string(out), err == nil
}

// plain returns what each program prints where it runs: what a build for any CPU
// prints on the best. Instructions that an older CPU takes for others change it.
func (m machine) plain(t *testing.T, dir string) map[string]string {
	t.Helper()
	right := map[string]string{}
	for source, options := range m.programs {
		program := filepath.Join(dir, "plain")
		args := []string{"-O1", "-static", "-o", program, filepath.Join("testdata/programs", source), "-lm"}
		if source == "intrinsics.c" {
			args = append(args, strings.Fields(options[0])...)
		}
		if out, err := exec.CommandContext(t.Context(), m.compilers[0], args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		out, ok := m.run(t, "max", program)
		if !ok {
			t.Fatalf("%s does not run", source)
		}
		right[source] = out
	}
	return right
}

// holder compares what runs with what fits.
type holder struct {
	machine
	nodes    map[string]string // the facts of each CPU
	right    map[string]string // what each source prints
	verdicts map[string]int    // the exit codes of check, by CPU and requirements
}

func (h holder) hold(t *testing.T, program string) {
	t.Helper()
	needs := program + ".json"
	_, because, code := tool(t, "create", "--from", program, "-w", needs)
	if code != 0 && code != 3 {
		t.Errorf("create ended with %d: %s", code, because)
		return
	}
	name := filepath.Base(program)
	source, _, _ := strings.Cut(name, ".c")
	var line strings.Builder
	for _, cpu := range h.cpus {
		out, ok := h.run(t, cpu, program)
		runs, fits := ok && out == h.right[source+".c"], true
		if code == 0 {
			fits = h.check(t, needs, cpu)
		}
		fmt.Fprintf(&line, " %s:%v", cpu, runs)
		if runs != fits {
			t.Errorf("%s on %s: runs %v, fits %v\n%s", name, cpu, runs, fits, because)
		}
	}
	t.Logf("%s:%s", name, line.String())
}

func (h holder) check(t *testing.T, needs, cpu string) bool {
	t.Helper()
	key := cpu + read(t, needs)
	verdict, known := h.verdicts[key]
	if !known {
		var errs string
		if _, errs, verdict = tool(t, "check", needs, "--facts", h.nodes[cpu]); verdict != 0 && verdict != 3 {
			t.Errorf("%s on %s: check ended with %d: %s", filepath.Base(needs), cpu, verdict, errs)
		}
		h.verdicts[key] = verdict
	}
	return verdict == 0
}
