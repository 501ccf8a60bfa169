package systemd

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/imagefit/imagefit/pkg/config"
)

// directives are the sections and keys that the units may have: one that systemd does not know is
// only a warning in its log, and the protection that it stands for is not there.
var directives = map[string]string{
	"Unit":   "Description Documentation Requires After Before StartLimitIntervalSec",
	"Socket": "ListenStream DirectoryMode SocketUser SocketGroup SocketMode RemoveOnStop TriggerLimitIntervalSec",
	"Service": "Type ExecStart ExecReload EnvironmentFile Restart RestartSec TimeoutStartSec TimeoutStopSec KillMode WatchdogSec " +
		"OOMScoreAdjust MemoryHigh MemoryMax StateDirectory RuntimeDirectory RuntimeDirectoryPreserve " + hardening,
	"Install": "WantedBy Also",
}

const hardening = "ProtectSystem ProtectHome PrivateTmp PrivateDevices ProtectProc ProtectClock ProtectControlGroups ProtectHostname " +
	"ProtectKernelLogs ProtectKernelTunables CapabilityBoundingSet AmbientCapabilities NoNewPrivileges KeyringMode LockPersonality " +
	"MemoryDenyWriteExecute RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID SystemCallArchitectures " +
	"SystemCallFilter SystemCallErrorNumber"

// readUnit returns the values of a unit by section and key, as in Service.Type.
func readUnit(t *testing.T, name string) map[string]string {
	t.Helper()
	file, err := os.Open(filepath.Join("../../deploy/systemd", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sections, err := unit.DeserializeSections(file)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	values := map[string]string{}
	for _, section := range sections {
		for _, entry := range section.Entries {
			key := section.Section + "." + entry.Name
			if _, twice := values[key]; twice {
				t.Errorf("%s: %s twice", name, key)
			}
			if !slices.Contains(strings.Fields(directives[section.Section]), entry.Name) {
				t.Errorf("%s: unknown key %s", name, key)
			}
			values[key] = entry.Value
		}
	}
	return values
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Errorf("want a time that Go and systemd read alike: %v", err)
	}
	return d
}

func TestUnits(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	socket := readUnit(t, "cri-proxy.socket")
	if got, want := "unix://"+socket["Socket.ListenStream"], cfg.Proxy.Listen; got != want {
		t.Errorf("the socket is %s, proxy.listen is %s", got, want)
	}
	proxy, plugin := readUnit(t, "cri-proxy.service"), readUnit(t, "nri-plugin.service")
	for name, u := range map[string]map[string]string{"cri-proxy": proxy, "nri-plugin": plugin} {
		want := map[string]string{
			"Service.Type": "notify", "Service.ExecStart": "/usr/local/bin/" + name, "Service.Restart": "always",
			"Unit.StartLimitIntervalSec": "0", "Service.OOMScoreAdjust": "-999", "Service.NoNewPrivileges": "yes",
			"Service.CapabilityBoundingSet": "", "Service.ProtectSystem": "strict",
			"Service.StateDirectory":   filepath.Base(cfg.StateDir),
			"Service.RuntimeDirectory": filepath.Base(filepath.Dir(socket["Socket.ListenStream"])),
			// Or the folder of the socket would be gone with the daemon.
			"Service.RuntimeDirectoryPreserve": "yes",
		}
		for key, value := range want {
			if got, set := u[key]; got != value || !set {
				t.Errorf("%s: %s=%s, want %s", name, key, got, value)
			}
		}
		for _, key := range strings.Fields(hardening) {
			if _, set := u["Service."+key]; !set {
				t.Errorf("%s: %s is missing", name, key)
			}
		}
		if strings.Contains(u["Unit.Requires"], "containerd") {
			t.Errorf("%s: a restart of the runtime would restart it", name)
		}
		if !strings.Contains(u["Unit.Before"], "kubelet.service") {
			t.Errorf("%s: the kubelet does not wait for it", name)
		}
		if duration(t, u["Service.WatchdogSec"]) < 10*time.Second {
			t.Errorf("%s: a slow runtime would cost it its life", name)
		}
		if filepath.Join("/var/lib", u["Service.StateDirectory"]) != cfg.StateDir {
			t.Errorf("%s: state_dir is %s", name, cfg.StateDir)
		}
	}
	if stop := duration(t, proxy["Service.TimeoutStopSec"]); stop <= time.Duration(cfg.Proxy.DrainTimeout) {
		t.Errorf("killed after %v, while calls may go on for %v", stop, time.Duration(cfg.Proxy.DrainTimeout))
	}
	if proxy["Unit.Requires"] != "cri-proxy.socket" || !strings.Contains(proxy["Unit.After"], "cri-proxy.socket") {
		t.Error("cri-proxy.service does not need its socket")
	}
	same := func(key, _ string) bool {
		return !slices.Contains(strings.Fields(hardening), strings.TrimPrefix(key, "Service."))
	}
	for _, u := range []map[string]string{proxy, plugin} {
		maps.DeleteFunc(u, same)
	}
	if !maps.Equal(proxy, plugin) {
		t.Errorf("the services are not protected alike: %v and %v", proxy, plugin)
	}
}

// TestUnitsAreDocumented: the document names the units and the times in them.
func TestUnitsAreDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/systemd.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cri-proxy.socket", "cri-proxy.service", "nri-plugin.service"} {
		u := readUnit(t, name)
		words := []string{name}
		for _, key := range []string{"TimeoutStopSec", "WatchdogSec", "OOMScoreAdjust", "EnvironmentFile"} {
			if value := u["Service."+key]; value != "" && name == "cri-proxy.service" {
				words = append(words, key+"="+value)
			}
		}
		for _, word := range words {
			if !strings.Contains(string(doc), strings.TrimPrefix(word, "EnvironmentFile=-")) {
				t.Errorf("docs/systemd.md does not say %s", word)
			}
		}
	}
}

// The garbage collector works harder before the kernel slows the daemon down, and that
// before it is killed.
func TestMemoryIsLimited(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"cri-proxy.service", "nri-plugin.service"} {
		unit := readUnit(t, name)
		high, highErr := strconv.Atoi(strings.TrimSuffix(unit["Service.MemoryHigh"], "M"))
		most, mostErr := strconv.Atoi(strings.TrimSuffix(unit["Service.MemoryMax"], "M"))
		if highErr != nil || mostErr != nil || high <= memoryLimit>>20 || most <= high {
			t.Errorf("%s: a soft limit of %d MiB, MemoryHigh=%s, MemoryMax=%s", name, memoryLimit>>20, unit["Service.MemoryHigh"], unit["Service.MemoryMax"])
		}
	}
}
