package hostfacts

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

const cgroupDir = "sys/fs/cgroup"

// collectCgroup reads which version of control groups is mounted, and its
// controllers. The set is empty when neither is mounted.
func collectCgroup(h host, out *facts.Features) error {
	names, err := readDirIn(h.root, "sys/fs", cgroupDir)
	if err != nil {
		return err
	}
	version := "v2"
	var controllers []string
	var unread error
	if slices.Contains(names, "cgroup.controllers") {
		controllers, unread = cgroupControllers(h.root, cgroupDir)
	} else if version, controllers, err = legacyCgroups(h.root, names); err != nil {
		return err
	}
	slices.Sort(controllers)
	out.Attributes["system.cgroup"] = known(map[string]string{"version": version})
	setElement(out, "system.cgroup", "controllers", strings.Join(slices.Compact(controllers), ","), unread)
	return nil
}

func cgroupControllers(root Root, dir string) ([]string, error) {
	data, err := root.ReadHead(dir+"/cgroup.controllers", maxDriverText)
	return strings.Fields(string(data)), err
}

// legacyCgroups reads a tree in which each controller of version 1 has a
// directory of its own. In a hybrid one, version 2 is mounted next to them.
func legacyCgroups(root Root, names []string) (version string, controllers []string, err error) {
	known := []string{
		"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc", "net_cls", "net_prio",
		"perf_event", "pids", "rdma",
	}
	for _, name := range names {
		for _, controller := range strings.Split(name, ",") { // cpu,cpuacct
			if slices.Contains(known, controller) {
				controllers = append(controllers, controller)
			}
		}
	}
	if len(controllers) == 0 {
		return "", nil, nil
	}
	if !slices.Contains(names, "unified") {
		return "v1", controllers, nil
	}
	unified, err := cgroupControllers(root, cgroupDir+"/unified")
	if errors.Is(err, fs.ErrNotExist) {
		return "v1", controllers, nil
	}
	return "hybrid", append(controllers, unified...), err
}
