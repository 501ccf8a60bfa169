package chart

import (
	"bytes"
	"crypto/sha256"
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
	"text/template"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"
)

const (
	dir       = "../../deploy/helm/imagefit"
	manifests = "../../deploy/kubernetes"
)

type object = map[string]any

// files are those of the chart, as templates see them.
type files struct{}

func (files) Get(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(dir, name))
	return string(content), err
}

// render renders the chart with the functions of Helm that it uses; Helm itself is a large dependency.
func render(t *testing.T, set func(values object)) map[string]object {
	t.Helper()
	values := object{}
	if err := yaml.Unmarshal(read(t, filepath.Join(dir, "values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	set(values)
	all := template.New("chart")
	indent := func(n int, text string) string {
		return "\n" + strings.Repeat(" ", n) + strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", n))
	}
	all.Funcs(template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var out bytes.Buffer
			err := all.ExecuteTemplate(&out, name, data)
			return out.String(), err
		},
		"toYaml": func(v any) (string, error) {
			text, err := yaml.Marshal(v)
			return strings.TrimSuffix(string(text), "\n"), err
		},
		"toToml":     func(v any) (string, error) { text, err := toml.Marshal(v); return string(text), err },
		"nindent":    indent,
		"trunc":      func(n int, text string) string { return text[:min(n, len(text))] },
		"replace":    func(before, after, text string) string { return strings.ReplaceAll(text, before, after) },
		"trimSuffix": func(suffix, text string) string { return strings.TrimSuffix(text, suffix) },
		"sha256sum":  func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) },
		"default": func(usual, text string) string {
			if text == "" {
				return usual
			}
			return text
		},
	})
	if _, err := all.ParseGlob(filepath.Join(dir, "templates", "*")); err != nil {
		t.Fatal(err)
	}
	data := object{
		"Values": values, "Files": files{}, "Release": object{"Name": "imagefit", "Namespace": "imagefit", "Service": "Helm"},
		"Chart": object{"Name": "imagefit", "Version": "0.0.0-dev", "AppVersion": "0.0.0-dev"},
	}
	got := map[string]object{}
	crds, err := filepath.Glob(filepath.Join(dir, "crds", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, crd := range crds {
		maps.Copy(got, objects(t, read(t, crd)))
	}
	for _, one := range all.Templates() {
		if filepath.Ext(one.Name()) != ".yaml" {
			continue
		}
		var out bytes.Buffer
		if err := one.Execute(&out, data); err != nil {
			t.Fatal(err)
		}
		maps.Copy(got, objects(t, out.Bytes()))
	}
	return got
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
	for _, folder := range []string{"base", "node-classes", "pull-secrets"} {
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
	delete(want, "Namespace <nil>/imagefit") // helm install --create-namespace
	got := render(t, func(values object) { values["controller"].(object)["pullSecrets"] = true })
	maps.DeleteFunc(got, func(name string, _ object) bool { return strings.HasSuffix(name, "/imagefit-ungate") })
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
	if config := fmt.Sprint(all["ConfigMap imagefit/imagefit-controller"]["data"]); !strings.Contains(config, "[policy]\nmode = 'audit'") {
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
