package stack

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestVersionsOfContainerdAreRequestedByName(t *testing.T) {
	for value, want := range map[string][]string{
		"":         {Containerd24, Containerd17},
		"2.1":      {Containerd24, Containerd17, Containerd21},
		"2.3, 2.0": {Containerd24, Containerd17, Containerd23, Containerd20},
		"all":      {Containerd24, Containerd17, Containerd20, Containerd21, Containerd22, Containerd23},
		"2.4":      nil,
		"2.0.14":   nil,
		"2.0,all":  nil,
	} {
		t.Setenv(onRequestEnv, value)
		requested, err := OnRequest()
		if (err != nil) != (want == nil) {
			t.Errorf("%q: %v, error %v", value, requested, err)
		}
		if got := Versions(); want != nil && !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestVersionsOfContainerdAreThoseOfThePeers(t *testing.T) {
	t.Setenv(onRequestEnv, "all")
	for _, version := range Versions() {
		text, err := os.ReadFile(filepath.Join("..", "peers", Part(version), "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), " v"+version+" ") {
			t.Errorf("peers/%s/go.mod pins another version than %s", Part(version), version)
		}
	}
}
