package stack

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// places are where containerd, runc, shims and the kubelet write what cannot be
// moved, or would write if a path had not been moved into the work folder. Other
// runtimes of the machine write there as well, so only names decide what is ours.
func places() []string {
	return []string{
		"/run/containerd/*", "/run/containerd/*/*", "/run/containerd/*/*/*", "/run/runc/*", "/run/runc/*/*", "/run/netns/*",
		"/var/lib/containerd/*/*/*", "/var/log/containers/*", "/var/log/pods/*", "/var/lib/kubelet/*/*", "/var/lib/cni/*/*",
		"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*", "/sys/fs/cgroup/*/*/*",
	}
}

// outside lists what is ours in the places: entries named after the work folder or
// after one of its pods and containers, links into the folder, sockets of its shims.
func outside(dir string, ids []string) []string {
	names := append([]string{filepath.Base(dir)}, ids...)
	sockets := shimSockets(dir, ids)
	var ours []string
	for _, place := range places() {
		found, _ := filepath.Glob(place) // errors only on a bad pattern
		for _, path := range found {
			base := filepath.Base(path)
			target, _ := os.Readlink(path) // empty for what is not a link
			if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(base, name) }) ||
				strings.HasPrefix(target, dir+"/") || slices.Contains(sockets, path) {
				ours = append(ours, path)
			}
		}
	}
	return ours
}

// shimSockets are where shims of containerd before 2.3 listen, whatever its
// configuration says: a digest over containerd's address, the namespace and the pod's id.
func shimSockets(dir string, ids []string) []string {
	var sockets []string
	for _, id := range ids {
		address := filepath.Join(dir, "containerd.sock", "k8s.io", id)
		sockets = append(sockets, fmt.Sprintf("/run/containerd/s/%x", sha256.Sum256([]byte(address))))
	}
	return sockets
}

// idsOf are the pods and containers that a work folder's containerd has had: its
// log names each. Digests of images look the same and do no harm.
func idsOf(dir string) []string {
	text, err := os.ReadFile(filepath.Join(dir, "containerd.log"))
	if err != nil {
		return nil // not a folder of a containerd
	}
	ids := regexp.MustCompile(`\b[0-9a-f]{64}\b`).FindAllString(string(text), -1)
	slices.Sort(ids)
	return slices.Compact(ids)
}
