package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestRuntimeLaunchesThePlugin installs nri-plugin in the plugin_path of containerd, which
// launches it and hands it its configuration: it refuses what does not fit, also after a
// restart of containerd, and ends with it.
func TestRuntimeLaunchesThePlugin(t *testing.T) {
	for _, version := range []string{stack.Containerd17, stack.Containerd24} {
		t.Run(version, func(t *testing.T) { testLaunched(t, version) })
	}
}

func testLaunched(t *testing.T, version string) {
	f := startFitWith(t, startContainerd(t, stack.Options{Version: version}), startRegistry(t), flagsV3, stack.Settings{Policy: audit})
	ref, id := f.unfit(t)
	bin, err := stack.Binaries(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(f.containerd.Dir, "launched.log")
	install := map[string]string{
		"nri-plugins/10-imagefit":   fmt.Sprintf("#!/bin/sh\nexec %s/nri-plugin --config %s 2>>%s\n", bin, f.Config, log),
		"nri-conf/10-imagefit.conf": "[policy]\nmode = \"enforce\"\n",
	}
	for name, text := range install {
		path := filepath.Join(f.containerd.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := run(t.Context(), f.cri, ref, stack.PodOptions{ImageRef: id}); err != nil {
		t.Fatalf("before the plugin is installed: %v", err)
	}
	for round := range 2 {
		if err := f.containerd.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := run(t.Context(), f.containerd.CRI, ref, stack.PodOptions{ImageRef: id})
		if err == nil || !strings.Contains(err.Error(), "imagefit: "+ref+" does not fit this node") {
			text, _ := os.ReadFile(log) // missing if it was not launched
			t.Fatalf("start %d: %v\n%s", round, err, text)
		}
	}
	if err := f.containerd.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if launched := strings.Count(string(text), "msg=starting"); launched != 2 {
			t.Fatalf("it was launched %d times, want 2:\n%s", launched, text)
		}
		if !alive(t, bin+"/nri-plugin", f.Config) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it outlives containerd:\n%s", text)
		}
	}
}

// alive reports whether a process has this program and argument.
func alive(t *testing.T, program, argument string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		line, _ := os.ReadFile(file) // of a process that ends meanwhile
		args := strings.Split(string(line), "\x00")
		if args[0] == program && strings.Contains(string(line), argument) {
			return true
		}
	}
	return false
}
