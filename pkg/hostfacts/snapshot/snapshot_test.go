package snapshot

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/hosttest"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

const testdata = "../testdata"

// takeSnapshot returns a root over a snapshot of root, and the snapshot's files.
func takeSnapshot(t testing.TB, root hostfacts.Root, options Options) (hostfacts.Root, map[string]string) {
	t.Helper()
	var b bytes.Buffer
	if err := Write(context.Background(), &b, root, options); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "host.tar.gz")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return again, untar(t, b.Bytes())
}

func untar(t testing.TB, data []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(content)
	}
}

func tree(t testing.TB, files map[string]string) hostfacts.Root {
	t.Helper()
	return hostfacts.NewRoot(hosttest.Tree(t, files))
}

func capturedHosts(t testing.TB) map[string]hostfacts.Root {
	t.Helper()
	roots := map[string]hostfacts.Root{}
	for name, dir := range hosttest.Captured(t, testdata) {
		roots[name] = hostfacts.NewRoot(dir)
	}
	return roots
}

// everyTree returns the roots of all captured hosts, and the live one.
func everyTree(t testing.TB) map[string]hostfacts.Root {
	t.Helper()
	roots := capturedHosts(t)
	if runtime.GOOS == "linux" {
		roots["live"] = hostfacts.NewRoot("/")
	}
	return roots
}

func factsText(t testing.TB, f *facts.Facts, dir string) string {
	t.Helper()
	data, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), dir+"/", "/") // causes name the directory of a tree
}

func TestSnapshotYieldsTheSameFacts(t *testing.T) {
	t.Parallel()
	for name, root := range everyTree(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := hostfacts.Collect(context.Background(), root)
			whole, _ := takeSnapshot(t, root, Options{Identity: true})
			got := hostfacts.Collect(context.Background(), whole)
			dir := root.Dir()
			if dir == "/" {
				dir = "no directory"
			}
			if name == "live" { // these differ from one moment to the next
				for _, change := range facts.Diff(want, got) {
					if change.Set != "network.virtual" && change.Set != "storage.block" {
						t.Errorf("with identity: %v", change)
					}
				}
			} else if a, b := factsText(t, want, dir), factsText(t, got, dir); a != b {
				t.Errorf("with identity: %v\n%s\n%s", facts.Diff(want, got), a, b)
			}
			if got.Fingerprint() != want.Fingerprint() {
				t.Errorf("with identity: another fingerprint, in %v", got.ChangedSets(want))
			}
			anonymous, _ := takeSnapshot(t, root, Options{})
			got = hostfacts.Collect(context.Background(), anonymous)
			if got.Fingerprint() != want.Fingerprint() {
				t.Errorf("another fingerprint, in %v: %v", got.ChangedSets(want), facts.Diff(want, got))
			}
			again, _ := takeSnapshot(t, anonymous, Options{})
			if changes := facts.Diff(got, hostfacts.Collect(context.Background(), again)); len(changes) > 0 {
				t.Errorf("a snapshot of the snapshot: %v", changes)
			}
		})
	}
}

func TestUnpackedSnapshotIsTakenBack(t *testing.T) {
	t.Parallel()
	root := hostfacts.NewRoot(testdata + "/amd-zen/root")
	_, files := takeSnapshot(t, root, Options{Identity: true})
	unpacked, err := Open(tree(t, files).Dir())
	if err != nil {
		t.Fatal(err)
	}
	want, got := hostfacts.Collect(context.Background(), root), hostfacts.Collect(context.Background(), unpacked)
	if changes := facts.Diff(want, got); len(changes) > 0 || got.Fingerprint() != want.Fingerprint() {
		t.Errorf("differs: %v", changes)
	}
}

// TestSnapshotKeepsCPUIDFlags: proc/cpuinfo shows fewer flags than the CPU.
func TestSnapshotKeepsCPUIDFlags(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("needs linux/amd64")
	}
	live := hostfacts.Collect(context.Background(), hostfacts.NewRoot("/"))
	root, files := takeSnapshot(t, hostfacts.NewRoot("/"), Options{})
	delete(files, indexFile)
	bare := hostfacts.Collect(context.Background(), tree(t, files))
	got := hostfacts.Collect(context.Background(), root)
	lost := 0
	for _, flag := range live.Features().Flags["cpu.cpuid"] {
		if bare.Lookup("cpu.cpuid", flag).State != facts.Present {
			lost++
		}
		if got.Lookup("cpu.cpuid", flag).State != facts.Present {
			t.Errorf("flag %s is lost", flag)
		}
	}
	t.Logf("%d flags are beyond the files", lost)
}

func TestSnapshotIsAnonymous(t *testing.T) {
	t.Parallel()
	secrets := []string{
		"node-17.example", "0123456789abcdef0123456789abcdef", "aabbccdd-1122-3344-5566-77889900aabb",
		"ea9c1b2d-0000-1111-2222-333344445555", "98:03:9b:00:11:22", "enx98039b001122", "SERIAL123", "10.20.30.40",
		"fe80::1", "mydisk", "b8599f0300aabbcc", "12345678901234567890", "10000000abcdef01", "hunter2",
	}
	root := tree(t, map[string]string{
		"proc/sys/kernel/hostname":          "node-17.example\n",
		"proc/sys/kernel/osrelease":         "6.1.0\n",
		"proc/sys/kernel/random/boot_id":    "aabbccdd-1122-3344-5566-77889900aabb\n",
		"etc/machine-id":                    "0123456789abcdef0123456789abcdef\n",
		"etc/hostname":                      "node-17.example\n",
		"proc/cmdline":                      "root=UUID=aabbccdd-1122-3344-5566-77889900aabb resume=LABEL=mydisk ip=10.20.30.40::fe80::1 x.password=hunter2 quiet\n",
		"proc/cpuinfo":                      "processor : 0\nCPU implementer : 0x41\nFeatures : fp asimd\nCPU variant : 0x0\nCPU part : 0xd08\nCPU revision : 3\n\nSerial\t\t: 10000000abcdef01\n",
		"sys/class/net/enx98039b001122/mtu": "1500\n", "sys/class/net/enx98039b001122/address": "98:03:9b:00:11:22\n",
		"sys/class/net/enx98039b001122/device/vendor":      "0x15b3\n",
		"sys/bus/usb/devices/1-1/bDeviceClass":             "00\n",
		"sys/bus/usb/devices/1-1/serial":                   "SERIAL123\n",
		"sys/bus/usb/devices/1-1/idVendor":                 "1d6b\n",
		"sys/bus/usb/devices/1-1/idProduct":                "0002\n",
		"sys/bus/usb/devices/1-1/1-1:1.0/bInterfaceClass":  "08\n",
		"sys/class/dmi/id/product_serial":                  "SERIAL123\n",
		"sys/class/dmi/id/product_uuid":                    "aabbccdd-1122-3344-5566-77889900aabb\n",
		"sys/class/dmi/id/sys_vendor":                      "Dell Inc.\n",
		"sys/class/infiniband/mlx5_0/node_guid":            "b859:9f03:00aa:bbcc\n",
		"sys/class/infiniband/mlx5_0/sys_image_guid":       "b859:9f03:00aa:bbcc\n",
		"sys/class/infiniband/mlx5_0/node_type":            "1: CA\n",
		"sys/class/kfd/kfd/topology/nodes/1/properties":    "simd_count 416\nunique_id 12345678901234567890\ngfx_target_version 90010\nvendor_id 4098\n",
		"proc/driver/nvidia/version":                       "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n",
		"proc/driver/nvidia/gpus/0000:3b:00.0/information": "Model: \t\t NVIDIA A100\nGPU UUID: \t GPU-ea9c1b2d-0000-1111-2222-333344445555\nBus Location: \t 0000:3b:00.0\n",
	})
	snapshot, files := takeSnapshot(t, root, Options{})
	for name, content := range files {
		for _, secret := range secrets {
			if strings.Contains(name, secret) || strings.Contains(content, secret) {
				t.Errorf("%s contains %s:\n%.2000s", name, secret, content)
			}
		}
	}
	known := hostfacts.Collect(context.Background(), snapshot)
	name := known.Lookup("system.name", "nodename")
	if name.State != facts.Unknown || !strings.Contains(name.Cause, "left out of the snapshot") {
		t.Errorf("the node's name is %v %q", name.State, name.Cause)
	}
	if usb, known := known.Instances("usb.device"); known.State != facts.Present || len(usb) == 0 || usb[0]["vendor"] != "1d6b" {
		t.Errorf("usb devices %v %v", usb, known)
	}
	_, whole := takeSnapshot(t, root, Options{Identity: true})
	all := strings.Join(slices.Sorted(func(yield func(string) bool) {
		for _, content := range whole {
			if !yield(content) {
				return
			}
		}
	}), "")
	if !strings.Contains(all, "node-17.example") {
		t.Error("the name is left out though it was asked for")
	}
	if strings.Contains(whole[hostfacts.BootIDFile], "aabb") {
		t.Error("the boot id is told")
	}
}

// TestWhatWasNotLookedForIsUnknown: to a collector that is younger than the
// snapshot, what was not looked for is unknown.
func TestWhatWasNotLookedForIsUnknown(t *testing.T) {
	t.Parallel()
	root, _ := takeSnapshot(t, hostfacts.NewRoot(testdata+"/amd-zen/root"), Options{})
	for _, name := range []string{"srv/new/file", "sys/class/net/eno1/new"} {
		exists, err := root.Exists(name)
		_, readErr := root.ReadFile(name)
		if exists || err == nil || readErr == nil || !strings.Contains(facts.CauseOf(readErr), "not in the snapshot reading /"+name) {
			t.Errorf("%s: %v %v %v", name, exists, err, readErr)
		}
	}
	for _, name := range []string{"sys/class/net/eno3/mtu", "proc/config.gz", "proc/config.gz/x"} {
		if exists, err := root.Exists(name); exists || err != nil {
			t.Errorf("%s: exists %v, %v", name, exists, err)
		}
	}
}

func TestSnapshotKeepsErrors(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	root := tree(t, map[string]string{"proc/sys/kernel/osrelease": "6.1.0\n", "proc/config.gz": "", "proc/modules": ""})
	for _, name := range []string{"proc/config.gz", "proc/modules"} {
		if err := os.Chmod(filepath.Join(root.Dir(), name), 0); err != nil {
			t.Fatal(err)
		}
	}
	again, _ := takeSnapshot(t, root, Options{})
	got := hostfacts.Collect(context.Background(), again).Lookup("kernel.loadedmodule", "xfs")
	if got.State != facts.Unknown || got.Cause != "permission denied reading /proc/modules" {
		t.Errorf("got %v %q", got.State, got.Cause)
	}
}

func TestSnapshotsOfCapturedHostsAreAnonymous(t *testing.T) {
	t.Parallel()
	for name, root := range capturedHosts(t) {
		_, files := takeSnapshot(t, root, Options{})
		data, err := root.ReadFile("proc/sys/kernel/hostname")
		hostname := strings.TrimSpace(string(data))
		if err != nil || hostname == "" {
			continue
		}
		for file, content := range files {
			if strings.Contains(content, hostname) {
				t.Errorf("%s: %s contains the host name", name, file)
			}
		}
		index, err := json.Marshal(files)
		if err != nil || strings.Contains(string(index), "i-0123456789abcdef0") || strings.Contains(string(index), "UIDC3A5E0C1") {
			t.Errorf("%s contains a serial number: %v", name, err)
		}
	}
}

func TestMainframeKeepsOnlyItsHypervisor(t *testing.T) {
	t.Parallel()
	got, kept := redactor{}.file("proc/sysinfo", []byte("Manufacturer: IBM\nSequence Code: 00000000000DBBF8\nVM00 Name: PROD7\nVM00 Control Program: KVM/Linux\n"))
	if !kept || string(got) != "VM00 Control Program: KVM/Linux\n" {
		t.Errorf("kept %v: %q", kept, got)
	}
}
