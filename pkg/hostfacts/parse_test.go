package hostfacts

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

func TestParseTakesBackWhatWasWritten(t *testing.T) {
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

func TestParseCompletesAnExportOfNFD(t *testing.T) {
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

// TestArchitectureFollowsFromAnySet: clusters withhold sets (noPublishFeatures), and NFD's
// own example has no flag of any architecture.
func TestArchitectureFollowsFromAnySet(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ export, arch string }{
		"NFD's example":         {`{"flags":{"cpu.cpuid":{"elements":{"SHA1":{},"SHA2":{}}}},"attributes":{"kernel.config":{"elements":{"NET":"y","X86":"y"}}}}`, "amd64"},
		"release of Amazon":     {`{"attributes":{"kernel.version":{"elements":{"full":"6.1.134-152.225.amzn2023.aarch64"}}}}`, "arm64"},
		"release of Debian":     {`{"attributes":{"kernel.version":{"elements":{"full":"6.1.0-9-powerpc64le"}}}}`, "ppc64le"},
		"vendor":                {`{"attributes":{"cpu.model":{"elements":{"vendor_id":"IBM_S390"}}}}`, "s390x"},
		"flags of a mainframe":  {`{"flags":{"cpu.cpuid":{"elements":{"ZARCH":{},"VX":{}}}}}`, "s390x"},
		"flags of POWER":        {`{"flags":{"cpu.cpuid":{"elements":{"ARCH_3_00":{},"VSX":{}}}}}`, "ppc64le"},
		"options of POWER":      {`{"attributes":{"kernel.config":{"elements":{"PPC64":"y","CPU_LITTLE_ENDIAN":"y"}}}}`, "ppc64le"},
		"flags few CPUs lack":   {`{"flags":{"cpu.cpuid":{"elements":{"AESNI":{},"AVX2":{}}}}}`, "amd64"},
		"nothing that tells it": {`{"attributes":{"kernel.version":{"elements":{"full":"6.8.0-45-generic"}}}}`, ""},
	} {
		known, err := Parse(strings.NewReader(tt.export))
		if err != nil || known.Arch() != tt.arch {
			t.Errorf("%s: %v, %v", name, known.Arch(), err)
			continue
		}
		if hasFlags := strings.Contains(tt.export, "cpu.cpuid"); !hasFlags {
			for _, look := range [][2]string{{"cpu.cpuid", "AVX2"}, {"usb.device", "x"}, {"cpu.archspec", "zen2"}} {
				if got := known.Lookup(look[0], look[1]); got.State != facts.Unknown && (tt.arch == "amd64" || tt.arch == "" || look[0] != "cpu.archspec") {
					t.Errorf("%s: %s %s is %s", name, look[0], look[1], got.State)
				}
			}
		}
	}
	known, err := ParseFor(strings.NewReader(`{"attributes":{"system.name":{"elements":{"nodename":"a"}}}}`), "riscv64")
	if err != nil || known.Arch() != "riscv64" || known.Lookup("cpu.archspec", "riscv64").State != facts.Present {
		t.Errorf("as stated: %v", err)
	}
	if _, err := Parse(strings.NewReader(`{"flags":{}}`)); err == nil || err.Error() != "parse facts: there are no sets of facts" {
		t.Errorf("empty: %v", err)
	}
	if _, err := ParseFor(strings.NewReader(`{"version":1,"arch":"amd64","flags":{},"attributes":{},"instances":{}}`), "arm64"); err == nil {
		t.Error("facts of another architecture are read")
	}
}

func FuzzParse(f *testing.F) {
	data, err := json.Marshal(Collect(f.Context(), NewRoot("testdata/amd-zen/root")))
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
