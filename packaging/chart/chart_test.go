package chart

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

const (
	dir       = "../../deploy/helm/imagefit"
	manifests = "../../deploy/kubernetes"
)

type object = map[string]any

// values are those of values.yaml, changed.
func values(t *testing.T, set func(values object)) object {
	t.Helper()
	values := object{}
	if err := yaml.Unmarshal(read(t, filepath.Join(dir, "values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	set(values)
	return values
}

// render renders the chart as helm template does.
func render(t *testing.T, set func(values object)) map[string]object {
	t.Helper()
	chart, err := loader.LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	release := common.ReleaseOptions{Name: "imagefit", Namespace: "imagefit", IsInstall: true, Revision: 1}
	input, err := util.ToRenderValues(chart, values(t, set), release, common.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(chart, input)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]object{}
	for _, crd := range chart.CRDObjects() {
		maps.Copy(got, objects(t, crd.File.Data))
	}
	for name, text := range files {
		if filepath.Ext(name) == ".yaml" {
			maps.Copy(got, objects(t, []byte(text)))
		}
	}
	return got
}

func TestHelmLintsTheChart(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(object){
		"by default": func(object) {},
		"all": func(values object) {
			for _, part := range []string{"dashboard", "alerts", "podMonitor", "install"} {
				values[part].(object)["enabled"] = true
			}
			values["imagePullSecrets"] = []any{object{"name": "pull"}}
		},
	} {
		for _, message := range lint.RunAll(dir, values(t, set), "imagefit").Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%s: %s", name, message)
			}
		}
	}
}

func TestHelmRefusesWrongValues(t *testing.T) {
	t.Parallel()
	chart, err := loader.LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for want, set := range map[string]func(object){
		"digest":    func(values object) { values["image"].(object)["digest"] = "latest" },
		"replicas":  func(values object) { values["controller"].(object)["replicas"] = 0 },
		"parallel":  func(values object) { values["install"].(object)["parallel"] = 0 },
		"nonsense":  func(values object) { values["nonsense"] = true },
		"dashbored": func(values object) { values["dashboard"].(object)["dashbored"] = true },
	} {
		_, err := util.ToRenderValues(chart, values(t, set), common.ReleaseOptions{Name: "imagefit", Namespace: "imagefit"}, common.DefaultCapabilities)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// objects parses documents, by kind, namespace and name.
func objects(t *testing.T, text []byte) map[string]object {
	t.Helper()
	all := map[string]object{}
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var o object
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if o == nil {
			continue
		}
		metadata, _ := o["metadata"].(object)
		all[fmt.Sprintf("%s %v/%s", o["kind"], metadata["namespace"], metadata["name"])] = o
	}
}

// plain takes out what the chart adds, and the name of the image.
func plain(o object) object {
	metadata, _ := o["metadata"].(object)
	if labels, ok := metadata["labels"].(object); ok {
		maps.DeleteFunc(labels, func(name string, _ any) bool {
			return strings.HasPrefix(name, "helm.sh/") || name == "app.kubernetes.io/managed-by" || name == "app.kubernetes.io/instance"
		})
		if len(labels) == 0 {
			delete(metadata, "labels")
		}
	}
	if o["kind"] == "ConfigMap" {
		delete(o, "data") // TestValuesAreWhatTheyDo
	}
	spec, _ := o["spec"].(object)
	pods, ok := spec["template"].(object)
	if !ok {
		return o
	}
	if metadata, ok := pods["metadata"].(object); ok {
		delete(metadata, "annotations")
	}
	podSpec, _ := pods["spec"].(object)
	containers, _ := podSpec["containers"].([]any)
	for _, container := range containers {
		if c, ok := container.(object); ok {
			c["image"] = "imagefit-controller"
			delete(c, "imagePullPolicy")
		}
	}
	return o
}

func TestChartHasWhatTheManifestsHave(t *testing.T) {
	t.Parallel()
	want := map[string]object{}
	for _, folder := range []string{"base", "node-classes", "pull-secrets", "installer"} {
		names, err := filepath.Glob(filepath.Join(manifests, folder, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if filepath.Base(name) != "kustomization.yaml" {
				maps.Copy(want, objects(t, read(t, name)))
			}
		}
	}
	delete(want, "Namespace <nil>/imagefit")         // helm install --create-namespace
	delete(want, "Namespace <nil>/imagefit-install") // outlives the chart, whose last hooks are in it
	got := render(t, func(values object) {
		values["controller"].(object)["pullSecrets"] = true
		values["install"].(object)["enabled"] = true
	})
	maps.DeleteFunc(got, func(name string, o object) bool {
		metadata, _ := o["metadata"].(object)
		annotations, _ := metadata["annotations"].(object)
		return annotations["helm.sh/hook"] != nil
	})
	if names, others := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)); !slices.Equal(names, others) {
		t.Fatalf("the manifests have\n%q, the chart has\n%q", names, others)
	}
	for name, o := range want {
		if a, b := plain(o), plain(got[name]); !reflect.DeepEqual(a, b) {
			t.Errorf("%s is in the manifests\n%v\nand in the chart\n%v", name, a, b)
		}
	}
}

func TestValuesAreWhatTheyDo(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("ab", 32)
	all := render(t, func(values object) {
		values["image"].(object)["digest"] = digest
		values["controller"].(object)["config"] = object{"policy": object{"mode": "audit"}}
		for _, part := range []string{"dashboard", "alerts", "podMonitor"} {
			values[part].(object)["enabled"] = true
		}
		for _, part := range []string{"gate", "nodes"} {
			values[part].(object)["enabled"] = false
		}
	})
	if text := fmt.Sprint(all["Deployment imagefit/imagefit-controller"]); !strings.Contains(text, "image:registry.example/imagefit/imagefit@"+digest) {
		t.Errorf("the image is not pinned: %s", text)
	}
	for name := range all {
		for _, off := range []string{"imagefit-gate", "imagefit-nodes", "imagefit-ungate"} {
			if strings.Contains(name, off) {
				t.Errorf("%s is there, which is not enabled", name)
			}
		}
	}
	if config := fmt.Sprint(all["ConfigMap imagefit/imagefit-controller"]["data"]); !strings.Contains(config, "[policy]\n  mode = \"audit\"") {
		t.Errorf("the configuration is %s", config)
	}
	var rules any = object{}
	if err := yaml.Unmarshal(read(t, "../../deploy/prometheus/imagefit.rules.yaml"), &rules); err != nil {
		t.Fatal(err)
	}
	if got := all["PrometheusRule imagefit/imagefit"]["spec"]; !reflect.DeepEqual(got, rules) {
		t.Errorf("the rules are %v", got)
	}
	data, _ := all["ConfigMap imagefit/imagefit-dashboard"]["data"].(object)
	if got := fmt.Sprint(data["imagefit.json"]); strings.TrimSpace(got) != strings.TrimSpace(string(read(t, "../../deploy/grafana/imagefit.json"))) {
		t.Error("the dashboard is not that of deploy/grafana")
	}
	if all["PodMonitor imagefit/imagefit-controller"] == nil {
		t.Error("there is no PodMonitor")
	}
}

// TestEveryValueIsInTheSchema: the schema refuses all others.
func TestEveryValueIsInTheSchema(t *testing.T) {
	t.Parallel()
	var values, schema object
	if err := yaml.Unmarshal(read(t, filepath.Join(dir, "values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(read(t, filepath.Join(dir, "values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	definitions, _ := schema["definitions"].(object)
	properties, _ := schema["properties"].(object)
	for name, value := range values {
		of, known := properties[name].(object)
		if !known {
			t.Errorf("the schema has no %s", name)
		}
		if of["$ref"] != nil {
			of, _ = definitions["extra"].(object)
		}
		inside, _ := value.(object)
		keys, _ := of["properties"].(object)
		for key := range inside {
			if keys[key] == nil {
				t.Errorf("the schema has no %s.%s", name, key)
			}
		}
	}
}
