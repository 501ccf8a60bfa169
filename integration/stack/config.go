package stack

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// configText is containerd's configuration from version 2 on. Every path is moved into the work
// folder, those too that containerd would otherwise make in /run and /opt.
// restrict_oom_score_adj lets containers start where CAP_SYS_RESOURCE is missing.
// containerd before 2.3 does not know socket_dir: the sockets of its shims always lie in
// /run/containerd/s.
const configText = `version = 3
{{.Imports}}
root = "{{.Dir}}/root"
state = "{{.Dir}}/state"
[grpc]
  address = "{{.Dir}}/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{{.Snapshotter}}"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{{.Pause}}"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{{.Dir}}/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  {{if .OneCNIFolder}}bin_dir = "{{.Dir}}/cni/bin"{{else}}bin_dirs = ["{{.Dir}}/cni/bin"]{{end}}
  conf_dir = "{{.Dir}}/cni/conf"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  Root = "{{.Dir}}/runc"
[plugins."io.containerd.shim.v1.manager"]
  socket_dir = "{{.Dir}}/s"
[plugins."io.containerd.internal.v1.opt"]
  path = "{{.Dir}}/opt"
[plugins."io.containerd.image-verifier.v1.bindir"]
  bin_dir = "{{.Dir}}/verifiers"
[plugins."io.containerd.nri.v1.nri"]
  socket_path = "{{.Dir}}/nri.sock"
  plugin_path = "{{.Dir}}/nri-plugins"
  plugin_config_path = "{{.Dir}}/nri-conf"
{{.Extra}}
`

// configText17 is the same for containerd 1.7, where NRI is off unless asked for.
const configText17 = `version = 2
{{.Imports}}
root = "{{.Dir}}/root"
state = "{{.Dir}}/state"
[grpc]
  address = "{{.Dir}}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{{.Pause}}"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{{.Snapshotter}}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "{{.Dir}}/runc"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{{if not .Mirrors}}{{.Dir}}/certs.d{{end}}"
[plugins."io.containerd.grpc.v1.cri".registry.mirrors]
{{.Mirrors}}
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{{.Dir}}/cni/bin"
  conf_dir = "{{.Dir}}/cni/conf"
[plugins."io.containerd.internal.v1.opt"]
  path = "{{.Dir}}/opt"
[plugins."io.containerd.nri.v1.nri"]
  disable = false
  socket_path = "{{.Dir}}/nri.sock"
  plugin_path = "{{.Dir}}/nri-plugins"
  plugin_config_path = "{{.Dir}}/nri-conf"
{{.Extra}}
`

// writeConfig fills the work folder with containerd's configuration and the
// folders that it names.
func writeConfig(dir, pause string, opts Options) error {
	for _, name := range []string{"certs.d", "cni/bin", "cni/conf", "nri-plugins", "nri-conf", "s", "pods"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return fmt.Errorf("prepare containerd's folders: %w", err)
		}
	}
	snapshots, err := snapshotter(dir)
	if err != nil {
		return err
	}
	layout := configText
	if opts.Version == Containerd17 {
		layout = configText17
	}
	imports, err := writeDropIn(dir, opts.DropIn)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	err = template.Must(template.New("config").Parse(layout)).Execute(&text, map[string]any{
		"Dir": dir, "Pause": pause, "Snapshotter": snapshots, "Imports": imports, "Extra": opts.Extra, "Mirrors": opts.Mirrors,
		"OneCNIFolder": opts.Version == Containerd20,
	})
	if err != nil {
		return fmt.Errorf("fill in containerd's configuration: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "config.toml"), text.Bytes(), 0o600)
}

// writeDropIn writes the file beside the configuration, if there is to be one,
// and returns the line that imports it. The folder conf.d is that of imagefit.
func writeDropIn(dir, text string) (imports string, err error) {
	if text == "" {
		return "", nil
	}
	folder := filepath.Join(dir, "containerd.d")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("prepare containerd's folders: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "50-test.toml"), []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write containerd's drop-in: %w", err)
	}
	return `imports = ["containerd.d/*.toml"]`, nil
}
