package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
)

// TestArchitectureCanBeStated: an export of NFD without anything that tells the
// architecture is read, and only explain needs to know it.
func TestArchitectureCanBeStated(t *testing.T) {
	t.Parallel()
	node := write(t, "node.json", `{"attributes":{"kernel.version":{"elements":{"full":"6.8.0-45-generic","major":"6"}}}}`)
	body := write(t, "needs.json", `{"compatibilities":{"io.archspec":{"target":"riscv64"}}}`)
	for _, tt := range []struct {
		args, want string
		code       int
	}{
		{"check " + body + " --facts " + node, "cannot determine", 4},
		{"check " + body + " --facts " + node + " --arch riscv64", "meets the requirements", 0},
		{"check " + body + " --facts " + node + " --arch amd64", "does not meet", 3},
		{"check " + body + " --facts " + node + " --arch x86", "x86", 1},
		{"explain registry.example/app:1 --facts " + node, "give it with --arch", 1},
	} {
		got := tool(t, "", strings.Fields(tt.args)...)
		code, isCode := errors.AsType[cli.ExitError](got.err)
		if got.err != nil && !isCode {
			code = 1
		}
		text := got.stdout + got.stderr
		if got.err != nil {
			text += got.err.Error()
		}
		if int(code) != tt.code || !strings.Contains(text, tt.want) {
			t.Errorf("%s: code %d, %s", tt.args, code, text)
		}
	}
}
