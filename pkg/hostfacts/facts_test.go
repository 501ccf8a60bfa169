package hostfacts

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/imagefit/imagefit/pkg/facts"
)

func sample() facts.Features {
	return facts.Features{
		Flags:      map[string][]string{"cpu.cpuid": {"AVX2", "SSE2"}, "kernel.loadedmodule": {}},
		Attributes: map[string]map[string]string{"kernel.version": {"major": "6"}, "cpu.pstate": {}},
		Instances: map[string][]map[string]string{
			"network.device":  {{"name": "eth0", "operstate": "up", "mtu": "1500"}},
			"network.virtual": {{"name": "veth1"}},
			"memory.nv":       {},
		},
		Unknown: map[string]string{"kernel.config": "permission denied reading /proc/config.gz", "cpu.model/hypervisor": "no"},
	}
}

func TestJSONRoundTrip(t *testing.T) {
	t.Parallel()
	want := facts.New("linux", "amd64", sample())
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got.OS() != "linux" || got.Arch() != "amd64" || got.Fingerprint() != want.Fingerprint() {
		t.Errorf("got %s/%s %s", got.OS(), got.Arch(), got.Fingerprint())
	}
	if !reflect.DeepEqual(got.Features(), want.Features()) {
		t.Errorf("got %v, want %v", got.Features(), want.Features())
	}
	if got := got.Lookup("cpu.pstate", "turbo"); got.State != facts.Absent {
		t.Errorf("an empty set became %v", got.State)
	}
}

func TestParseGoldens(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*/facts.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := Parse(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if !strings.Contains(string(data), `"fingerprint": "`+facts.Fingerprint()+`"`) {
			t.Errorf("%s holds another fingerprint than %s", file, facts.Fingerprint())
		}
	}
}

func TestParseNFDExport(t *testing.T) {
	t.Parallel()
	const export = `{
 "flags": {"cpu.cpuid": {"elements": {"AVX": {}, "AVX2": {}, "X86_64_V3": {}}}},
 "attributes": {"cpu.model": {"elements": {"vendor_id": "AMD"}}, "cpu.pstate": {"elements": null}},
 "instances": {"usb.device": {"elements": []}}
}`
	known, err := Parse(strings.NewReader(export))
	if err != nil {
		t.Fatal(err)
	}
	if known.OS() != "linux" || known.Arch() != "amd64" {
		t.Errorf("platform %s/%s", known.OS(), known.Arch())
	}
	if got := known.Lookup("cpu.x86_64", "level"); got.Value != "3" {
		t.Errorf("level %q", got.Value)
	}
	if got := known.Lookup("cpu.archspec", "x86_64_v2"); got.State != facts.Present {
		t.Errorf("x86_64_v2 is %v", got.State)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"empty":           {"", "EOF"},
		"unknown field":   {`{"version":1,"flagz":{}}`, `unknown field "flagz"`},
		"newer version":   {`{"version":2}`, "version 2 is not supported"},
		"trailing text":   {`{"version":1} {}`, "trailing data"},
		"wrong type":      {`{"version":1,"attributes":{"a":{"elements":{"b":1}}}}`, "cannot unmarshal number"},
		"no architecture": {`{"flags":{}}`, "does not tell the architecture"},
		"too large":       {`{"version":1}` + strings.Repeat(" ", 16<<20), "larger than"},
	}
	for name, tt := range tests {
		_, err := Parse(strings.NewReader(tt.in))
		if err == nil || !strings.HasPrefix(err.Error(), "parse facts: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	data, err := json.Marshal(facts.New("linux", "amd64", sample()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"flags":{"cpu.cpuid":{"elements":{"ASIMD":{}}}},"attributes":{},"instances":{}}`))
	f.Add([]byte(`{"version":1,"flags":{"a.b":{"elements":{"c":{}}}},"unknown":{"a.b":"no","a.b/d":"no"},
		"absent":{"a.b":{"elements":{"d":{},"c":{}}},"e.f":{"elements":{"":{}}}},"origins":{"a.b":"/x"},"problems":["p"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, err := Parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		written, err := json.Marshal(facts)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(bytes.NewReader(written))
		if err != nil {
			t.Fatalf("cannot read back %s: %v", written, err)
		}
		if again.Fingerprint() != facts.Fingerprint() || !reflect.DeepEqual(again.Features(), facts.Features()) {
			t.Errorf("%s came back different", written)
		}
	})
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	base := facts.New("linux", "amd64", sample())
	tests := []struct {
		name   string
		change func(*facts.Features)
		same   bool
	}{
		{"nothing", func(*facts.Features) {}, true},
		{"operstate", func(f *facts.Features) { f.Instances["network.device"][0]["operstate"] = "down" }, true},
		{"virtual interfaces", func(f *facts.Features) { f.Instances["network.virtual"] = nil }, true},
		{"wording of a cause", func(f *facts.Features) { f.Unknown["kernel.config"] = "other" }, true},
		{"mtu", func(f *facts.Features) { f.Instances["network.device"][0]["mtu"] = "9000" }, false},
		{"flag", func(f *facts.Features) { f.Flags["cpu.cpuid"] = []string{"SSE2"} }, false},
		{"attribute", func(f *facts.Features) { f.Attributes["kernel.version"]["major"] = "5" }, false},
		{"empty set to no set", func(f *facts.Features) { delete(f.Attributes, "cpu.pstate") }, false},
		{"unknown set", func(f *facts.Features) { f.Unknown["cpu.topology"] = "no" }, false},
		{"known element", func(f *facts.Features) { delete(f.Unknown, "cpu.model/hypervisor") }, false},
	}
	for _, tt := range tests {
		features := sample()
		tt.change(&features)
		changed := facts.New("linux", "amd64", features)
		if same := changed.Fingerprint() == base.Fingerprint(); same != tt.same {
			t.Errorf("%s: same fingerprint %v, want %v", tt.name, same, tt.same)
		}
		if sets := changed.ChangedSets(base); (len(sets) == 0) != tt.same {
			t.Errorf("%s: changed sets %v", tt.name, sets)
		}
	}
	if facts.New("linux", "arm64", sample()).Fingerprint() == base.Fingerprint() {
		t.Error("the architecture does not count")
	}
	// A known value: it must not change between processes and releases.
	const want = "sha256:a398a869926137b646087e15679fa797d4a0b27116672847c57a6a797c3199e3"
	if got := base.Fingerprint(); got != want {
		t.Errorf("fingerprint %s, want %s", got, want)
	}
}

func TestFactsAreCopied(t *testing.T) {
	t.Parallel()
	features := sample()
	known := facts.New("linux", "amd64", features)
	features.Attributes["kernel.version"]["major"] = "1"
	maps.Copy(known.Unknown(), map[string]string{"cpu.cpuid": "no"})
	known.Features().Attributes["kernel.version"]["major"] = "2"
	if got := known.Lookup("kernel.version", "major").Value; got != "6" {
		t.Errorf("major %s", got)
	}
	if got := known.Lookup("cpu.cpuid", "X").State; got != facts.Absent {
		t.Errorf("cpu.cpuid X is %v", got)
	}
}

func TestInstances(t *testing.T) {
	t.Parallel()
	features := sample()
	features.Unknown["network.virtual"] = "cause"
	known := facts.New("linux", "amd64", features)
	for set, want := range map[string]struct {
		n     int
		state facts.State
	}{"network.device": {1, facts.Present}, "memory.nv": {0, facts.Present}, "network.virtual": {0, facts.Unknown}, "site.fabric": {0, facts.Unknown}} {
		list, fact := known.Instances(set)
		if len(list) != want.n || fact.State != want.state || (fact.Cause != "") != (want.state == facts.Unknown) {
			t.Errorf("%s: %v, %+v", set, list, fact)
		}
	}
}

func TestSource(t *testing.T) {
	defer goleak.VerifyNone(t)
	root := tree(t, map[string]string{"proc/sys/kernel/osrelease": "6.1.0\n", "proc/modules": "xfs 1\n"})
	var log bytes.Buffer
	s := NewSource(context.Background(), root, slog.New(slog.NewTextHandler(&log, nil)))
	first := s.Current()
	if first.Lookup("kernel.loadedmodule", "xfs").State != facts.Present {
		t.Fatal("xfs is not there")
	}

	log.Reset()
	s.Refresh(context.Background())
	if log.Len() != 0 {
		t.Errorf("logged without a change: %s", &log)
	}

	if err := os.WriteFile(filepath.Join(root.Dir(), "proc/modules"), []byte("ext4 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	s.Refresh(cancelled)
	if s.Current().Lookup("kernel.loadedmodule", "xfs").State != facts.Present {
		t.Error("a cancelled refresh took the facts away")
	}

	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx, time.Millisecond) }()
	for s.Current().Lookup("kernel.loadedmodule", "xfs").State != facts.Absent {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(5 * time.Millisecond)
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), `changed="kernel.enabledmodule kernel.loadedmodule"`) {
		t.Errorf("log: %s", &log)
	}
	if n := testing.AllocsPerRun(100, func() { s.Current() }); n != 0 {
		t.Errorf("Current allocates %v times", n)
	}
}

func TestRunWithoutInterval(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	s := NewSource(ctx, tree(t, nil), nil)
	cancel()
	if err := s.Run(ctx, 0); err != nil {
		t.Error(err)
	}
}

func TestX86Level(t *testing.T) {
	t.Parallel()
	upTo := func(level int, without string) func(string) bool {
		return func(flag string) bool {
			l := facts.X86LevelOfFlag(flag)
			return flag != without && l > 0 && l <= level
		}
	}
	for level := 1; level <= 4; level++ {
		if got := facts.X86Level(upTo(level, "")); got != level {
			t.Errorf("all flags of level %d give %d", level, got)
		}
	}
	for flag, want := range map[string]int{"AVX512VL": 3, "AVX2": 2, "OSXSAVE": 2, "SSE42": 1, "SSE2": 4} {
		if got := facts.X86Level(upTo(4, flag)); got != want {
			t.Errorf("without %s: level %d, want %d", flag, got, want)
		}
	}
	for flag, want := range map[string]int{"AVX2": 3, "AVX512BW": 4, "SSE2": 1, "CX16": 2, "X86_64_V3": 3, "AESNI": 0, "X86_64_V9": 0, "": 0, "avx2": 0} {
		if got := facts.X86LevelOfFlag(flag); got != want {
			t.Errorf("X86LevelOfFlag(%q) = %d, want %d", flag, got, want)
		}
	}
}
