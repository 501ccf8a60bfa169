package facts_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

func decode(t testing.TB, data []byte) (*facts.Facts, error) {
	t.Helper()
	doc, err := facts.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return facts.New(doc.OS, doc.Arch, doc.Features), nil
}

func TestFactsComeBackFromJSON(t *testing.T) {
	t.Parallel()
	want := facts.New("linux", "amd64", sample())
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(t, data)
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

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"empty":         {"", "EOF"},
		"unknown field": {`{"version":1,"flagz":{}}`, `unknown field "flagz"`},
		"newer version": {`{"version":2}`, "version 2 is not supported"},
		"trailing text": {`{"version":1} {}`, "trailing data"},
		"wrong type":    {`{"version":1,"attributes":{"a":{"elements":{"b":1}}}}`, "cannot unmarshal number"},
		"too large":     {`{"version":1}` + strings.Repeat(" ", 16<<20), "larger than"},
	}
	for name, tt := range tests {
		_, err := facts.Decode(strings.NewReader(tt.in))
		if err == nil || !strings.HasPrefix(err.Error(), "parse facts: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	data, err := json.Marshal(facts.New("linux", "amd64", sample()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"flags":{"cpu.cpuid":{"elements":{"ASIMD":{}}}},"attributes":{},"instances":{}}`))
	f.Add([]byte(`{"version":1,"flags":{"a.b":{"elements":{"c":{}}}},"unknown":{"a.b":"no","a.b/d":"no"},
		"absent":{"a.b":{"elements":{"d":{},"c":{}}},"e.f":{"elements":{"":{}}}},"origins":{"a.b":"/x"},"problems":["p"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		known, err := decode(t, data)
		if err != nil {
			return
		}
		written, err := json.Marshal(known)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(t, written)
		if err != nil {
			t.Fatalf("cannot read back %s: %v", written, err)
		}
		if again.Fingerprint() != known.Fingerprint() || !reflect.DeepEqual(again.Features(), known.Features()) {
			t.Errorf("%s came back different", written)
		}
	})
}
