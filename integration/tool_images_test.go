package integration

import (
	"encoding/json"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestImagesOfTheNodeAreListedByTheTool lists what cri-proxy chose and what containerd
// pulled by itself, with the proxy and without it.
func TestImagesOfTheNodeAreListedByTheTool(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, index, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	f.pull(t, repo.Ref("1"))
	other, _, _ := f.push(t, "other", variants("amd64")...)
	if _, err := f.containerd.CRI.Pull(t.Context(), other.Ref("1"), stack.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"--set", "proxy.listen=unix://" + t.TempDir() + "/none"}} {
		out, code := f.ourTool(t, append([]string{"images", "-o", "json"}, args...)...)
		var list struct {
			Images []struct {
				Name, Variant, Manifest, Since string
				KeptBy                         string `json:"kept_by"`
			}
			Problems []string
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || len(list.Problems) != len(args)/2 {
			t.Fatalf("%v, code %d: %s", err, code, out)
		}
		found := map[string]string{}
		for _, image := range list.Images {
			found[image.Name] = image.Variant + " " + image.Manifest + " " + image.KeptBy
			if image.Since == "" || image.Variant == "" || image.Manifest == "" {
				t.Errorf("not complete: %+v", image)
			}
		}
		chosen := "linux/amd64/v3 " + manifests[1].Digest.String()
		for name, want := range map[string]string{repo.Ref("1"): chosen + " runtime", repo.DigestRef(index): chosen + " proxy"} {
			if found[name] != want {
				t.Errorf("%s is %q, want %q of\n%s", name, found[name], want, out)
			}
		}
		if found[other.Ref("1")] == "" {
			t.Errorf("%s is not listed:\n%s", other.Ref("1"), out)
		}
	}
}
