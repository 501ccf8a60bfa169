//go:build unix

package hostfacts

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRootRefusesPipe(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"proc/version": "x"})
	if err := syscall.Mkfifo(filepath.Join(root.Dir(), "proc/modules"), 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := root.ReadFile("proc/modules"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("error %v", err)
	}
}
