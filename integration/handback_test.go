package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestRuntimeResolvesWhatRunsAfterUninstall takes imagefit off a node where cri-proxy alone kept the tags: containerd
// alone then resolves them to the images that run.
func TestRuntimeResolvesWhatRunsAfterUninstall(t *testing.T) {
	m := newSystemdNode(t, keptBy("proxy"))
	m.installDropIns(t)
	m.put(t, "etc/imagefit/config.toml", read(t, m.fit.Config), 0o644)
	for _, name := range []string{"cri-proxy", "nri-plugin", "imagefit"} {
		m.put(t, "opt/release/"+name, read(t, filepath.Join(filepath.Dir(m.fit.Proxy.Path), name)), 0o755)
	}
	m.start(t)
	m.do(t, "/opt/release/imagefit", "install", "--platform", "containerd")
	runtime, err := stack.DialCRI(m.fit.containerd.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = runtime.Close() })
	tag := m.image
	id := m.fit.pull(t, tag)
	_, index, _ := m.fit.push(t, "other", variants("amd64", "amd64/v3")...)
	byIndex := strings.TrimSuffix(strings.Replace(tag, "/app:", "/other:", 1), ":1") + "@" + index.Digest.String()
	m.fit.pull(t, byIndex)
	wantID(t, m.fit.cri, id, tag)
	if image, err := runtime.Status(t.Context(), tag); err == nil {
		t.Errorf("the runtime resolves %s already: %v", tag, image)
	}
	dry := m.do(t, "/usr/local/bin/imagefit", "uninstall", "--dry-run")
	done := m.do(t, "/usr/local/bin/imagefit", "uninstall")
	for _, out := range []string{dry, done} {
		if !strings.Contains(out, byIndex) || !strings.Contains(out, "1 names of images that cri-proxy kept are the runtime's") {
			t.Errorf("uninstall says %s", out)
		}
	}
	wantID(t, runtime, id, tag)
	records, err := m.fit.containerd.Records(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		for label := range record.Labels {
			if strings.HasPrefix(label, "imagefit.io/name.") {
				t.Errorf("%s still has the label %s", record.Name, label)
			}
		}
	}
}
