package install

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckTellsWhatHasChangedSince(t *testing.T) {
	t.Parallel()
	root := unpack(t, "kubeadm")
	i := Installer{Root: root, Programs: release(t, "1"), Version: "v1", volatile: true}
	check := func(want Status) {
		t.Helper()
		got, err := i.Check()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, -want +got\n%s", err, diff)
		}
	}
	check(Status{})
	killed := stopAfter(i, 3)
	if _, err := killed.Install(t.Context()); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	if got, err := i.Check(); err != nil || got.Finished || len(got.Changed) == 0 {
		t.Errorf("in the middle: %+v, %v", got, err)
	}
	if _, err := i.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.Programs = release(t, "2") // doctor of another release
	whole := Status{Version: "v1", Platform: "kubeadm", Finished: true}
	check(whole)
	unit := filepath.Join(root, "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf")
	if err := os.WriteFile(unit, []byte("[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --v=4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const dropIn = "/etc/systemd/system/kubelet.service.d/zz-imagefit.conf"
	whole.Outdated = []string{dropIn}
	check(whole)
	if err := os.Remove(filepath.Join(root, dropIn)); err != nil {
		t.Fatal(err)
	}
	whole.Changed = []string{dropIn}
	check(whole)
}
