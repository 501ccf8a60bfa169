package facts_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

// Of a list of instances some attributes may be known and the others not.
func TestAttributesOfInstancesAreKnownInPart(t *testing.T) {
	t.Parallel()
	features := facts.NewFeatures()
	features.Instances["pci.device"] = []map[string]string{{"vendor": "8086"}}
	features.Unknown["pci.device/*"] = "left out"
	features.Absent["pci.device"] = []string{"vendor", "class"}
	features.Instances["gpu.device"] = []map[string]string{{"vendor": "amd"}}
	features.Unknown["gpu.device/address"] = "not read"
	features.Instances["usb.device"] = nil
	built := facts.New("linux", "amd64", features)
	text, err := json.Marshal(built)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := facts.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for how, known := range map[string]*facts.Facts{"built": built, "read from JSON": facts.New(doc.OS, doc.Arch, doc.Features)} {
		for _, tt := range []struct {
			set, attribute string
			want           facts.State
		}{
			{"pci.device", "class", facts.Absent}, {"pci.device", "vendor", facts.Absent}, {"pci.device", "subsystem_vendor", facts.Unknown},
			{"gpu.device", "class", facts.Absent}, {"gpu.device", "address", facts.Unknown}, {"usb.device", "serial", facts.Absent},
		} {
			if got := known.MissingAttribute(tt.set, tt.attribute); got.State != tt.want || (got.Cause != "") != (tt.want == facts.Unknown) {
				t.Errorf("%s: %s %s is %+v, want %s", how, tt.set, tt.attribute, got, tt.want)
			}
		}
		for set, want := range map[string]facts.State{"pci.device": facts.Unknown, "gpu.device": facts.Present, "usb.device": facts.Present} {
			names, whole := known.Names(set)
			if whole.State != want {
				t.Errorf("%s: the names of %s are %s, want %s", how, set, whole.State, want)
			}
			for name := range names {
				if name == "*" {
					t.Errorf("%s: %s has an attribute *", how, set)
				}
			}
		}
	}
}
