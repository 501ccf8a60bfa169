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

func TestParseRefusesAnExportWithoutArchitecture(t *testing.T) {
	t.Parallel()
	_, err := Parse(strings.NewReader(`{"flags":{}}`))
	if err == nil || err.Error() != "parse facts: no version, and cpu.cpuid does not tell the architecture" {
		t.Errorf("error %v", err)
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
