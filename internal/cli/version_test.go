package cli

import "testing"

func TestBuildVersionPrefersTheLinkedOne(t *testing.T) {
	t.Parallel()
	if got := BuildVersion("v1"); got != "v1" {
		t.Errorf("got %q", got)
	}
	if got := BuildVersion(""); got == "" {
		t.Error("empty")
	}
}
