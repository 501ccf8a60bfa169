package integration

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// pulledRecord is how the kubelet notes whose credentials pulled an image.
type pulledRecord struct {
	ImageRef          string
	CredentialMapping map[string]struct{ NodePodsAccessible bool }
}

// pulledRecords are the kubelet's records by image id. None may be left of a pull
// under way.
func (n *node) pulledRecords(t *testing.T) map[string]pulledRecord {
	t.Helper()
	manager := filepath.Join(n.kubelet.Dir, "image_manager")
	entries, err := os.ReadDir(filepath.Join(manager, "pulled"))
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]pulledRecord{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(manager, "pulled", entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		var record pulledRecord
		if err := json.Unmarshal(text, &record); err != nil {
			t.Fatal(err)
		}
		records[record.ImageRef] = record
	}
	return records
}

// The kubelet notes with which credentials an image was pulled, under the id that
// PullImage returned, and looks it up by the id that ImageStatus gives. Where the
// two differ, another tenant's pod could use a private image unchecked.
func testPulledRecords(t *testing.T, n *node) {
	registry := startRegistry(t)
	registry.RequireBasic(map[string]stack.User{"node": {Password: "secret"}})
	n.options.Logins = map[string]stack.Login{registry.Host: {User: "node", Password: "secret"}}
	// Images that the kubelet has no record of must be pulled by it, too.
	n.reconfigure(t, map[string]any{"imagePullCredentialsVerificationPolicy": "AlwaysVerify"})

	private := n.image(t, registry, "private")
	n.add(t, private, stack.StaticPod{PullPolicy: "IfNotPresent"})
	n.wantPod(t, "private", private, "amd64/v3")
	image, err := n.cri.Status(t.Context(), private.ref)
	if err != nil {
		t.Fatal(err)
	}
	record, found := n.pulledRecords(t)[image.GetId()]
	repository := strings.TrimSuffix(private.ref, ":1")
	if !found || !record.CredentialMapping[repository].NodePodsAccessible {
		t.Errorf("no record of %s for the node's credentials under the id %s: %v", repository, image.GetId(), n.pulledRecords(t))
	}

	n.calls.take()
	behind := n.image(t, registry, "behind") // pulled, but not by the kubelet
	if _, err := n.cri.Pull(t.Context(), behind.ref, auth("node", "secret")); err != nil {
		t.Fatal(err)
	}
	n.add(t, private, stack.StaticPod{Name: "private-again", PullPolicy: "IfNotPresent"})
	n.add(t, behind, stack.StaticPod{PullPolicy: "IfNotPresent"})
	n.wantPod(t, "private-again", private, "amd64/v3")
	n.wantPod(t, "behind", behind, "amd64/v3")
	var pulled []string
	for _, call := range n.calls.take() {
		if call.method == "PullImage" {
			pulled = append(pulled, describe(t, call).ref)
		}
	}
	if want := []string{behind.ref}; !slices.Equal(pulled, want) {
		t.Errorf("pulled %v, want %v: a record was not found, or not looked for", pulled, want)
	}
	for _, name := range []string{"private-again", "behind"} {
		if err := n.kubelet.RemovePod(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	n.wantRecordsHold(t)
	n.reconfigure(t, nil)
}

// wantRecordsHold checks every image that a pod runs from: it is on record if the
// kubelet pulled it.
func (n *node) wantRecordsHold(t *testing.T) {
	t.Helper()
	records := n.pulledRecords(t)
	for _, name := range []string{"absent-ifnotpresent", "absent-always", "absent-nonroot", "absent-digest", "absent-tag-digest", "present-always"} {
		image, err := n.cri.Status(t.Context(), n.app[name].ref)
		if err != nil {
			t.Fatal(err)
		}
		if _, found := records[image.GetId()]; !found {
			t.Errorf("no record of %s under the id %s: %v", n.app[name].ref, image.GetId(), records)
		}
	}
	pulling, err := os.ReadDir(filepath.Join(n.kubelet.Dir, "image_manager", "pulling"))
	if err != nil || len(pulling) != 0 {
		t.Errorf("pulls under way: %v, %v", pulling, err)
	}
}

// The kubelet collects an image that no container uses by its id. Nothing of it
// is left, and a pod that comes back gets the right variant again.
func testImageCollection(t *testing.T, n *node) {
	kept, gone := n.app["absent-nonroot"], []app{n.app["absent-ifnotpresent"], n.app["absent-digest"], n.app["absent-tag-digest"]}
	for _, a := range gone {
		if err := n.kubelet.RemovePod(t.Context(), a.name); err != nil {
			t.Fatal(err)
		}
		if len(n.recordsOf(t, a)) == 0 {
			t.Fatal("the image went with its pod")
		}
	}
	// The first collection comes as the kubelet starts, the next five minutes later.
	n.reconfigure(t, map[string]any{"imageMinimumGCAge": "1ns", "imageMaximumGCAge": "2ns"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, a := range gone {
		for len(n.recordsOf(t, a)) > 0 {
			select {
			case <-ctx.Done():
				t.Fatalf("not collected: %v", n.recordsOf(t, a))
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	if len(n.recordsOf(t, kept)) == 0 {
		t.Error("an image in use was collected")
	}
	n.reconfigure(t, nil)
	for _, a := range gone {
		n.add(t, a, stack.StaticPod{PullPolicy: "IfNotPresent"})
	}
	for _, a := range gone {
		n.wantPod(t, a.name, a, "amd64/v3")
	}
	n.wantPod(t, kept.name, kept, "amd64/v3")
}
