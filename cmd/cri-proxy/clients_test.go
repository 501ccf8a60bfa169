package main

import (
	"testing"

	"github.com/imagefit/imagefit/pkg/criproxy"
)

// TestImageCallsOfTheCommandLineAreNotTheKubelets: the warning that the kubelet makes none
// stays.
func TestImageCallsOfTheCommandLineAreNotTheKubelets(t *testing.T) {
	t.Parallel()
	tool := criproxy.Client{Process: "imagefit", Calls: 1, ImageCalls: 1}
	for name, test := range map[string]struct {
		clients []criproxy.Client
		want    bool
	}{
		"none":                 {nil, false},
		"the command line":     {[]criproxy.Client{tool}, false},
		"no image calls":       {[]criproxy.Client{{Process: "kubelet", Calls: 1}}, false},
		"the kubelet":          {[]criproxy.Client{tool, {Process: "kubelet", ImageCalls: 1}}, true},
		"what has not a name":  {[]criproxy.Client{{ImageCalls: 1}}, true},
		"other, of many names": {[]criproxy.Client{{Process: "other", ImageCalls: 1}}, true},
	} {
		if got := isUsed(test.clients); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
