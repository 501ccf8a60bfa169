package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestManifestsAreTakenByTheAPIServer applies what users apply with `kubectl apply -k`, and
// again as for an upgrade.
func TestManifestsAreTakenByTheAPIServer(t *testing.T) {
	s := newScene(t)
	for dir, want := range map[string][]string{
		"": {
			"Namespace/imagefit", "CustomResourceDefinition/heartbeats.imagefit.dev", "CustomResourceDefinition/nodeclasses.imagefit.dev",
			"ServiceAccount/imagefit-controller", "ConfigMap/imagefit-controller", "Deployment/imagefit-controller",
			"PodDisruptionBudget/imagefit-controller", "MutatingAdmissionPolicy/imagefit-gate",
		},
		"node-classes": {"Namespace/imagefit-nodes", "DaemonSet/imagefit-nodes", "ValidatingAdmissionPolicy/imagefit-nodes"},
	} {
		for range 2 {
			objects, err := apply(t.Context(), s.plane, filepath.Join(manifests, dir))
			must(t, err)
			var names []string
			for _, o := range objects {
				names = append(names, o.GetKind()+"/"+o.GetName())
			}
			for _, name := range want {
				if !slices.Contains(names, name) {
					t.Errorf("%q lacks %s: %v", dir, name, names)
				}
			}
		}
	}
}

// applyComponent applies an overlay of what users apply, with a component.
func (s *scene) applyComponent(t testing.TB, name string) {
	t.Helper()
	text := "resources: [" + s.relative(t, "") + "]\ncomponents: [" + s.relative(t, name) + "]\n"
	must(t, os.WriteFile(filepath.Join(s.dir, "kustomization.yaml"), []byte(text), 0o600))
	_, err := apply(t.Context(), s.plane, s.dir)
	must(t, err)
}

// relative is a folder of the manifests as overlays in the scene's folder name it.
func (s *scene) relative(t testing.TB, name string) string {
	t.Helper()
	absolute, err := filepath.Abs(filepath.Join(manifests, name))
	must(t, err)
	path, err := filepath.Rel(s.dir, absolute)
	must(t, err)
	return path
}
