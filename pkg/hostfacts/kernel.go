package hostfacts

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// kernelRelease returns the running kernel's release, such as 6.8.0-45-generic.
// It becomes part of paths, so it must be one plain name.
func kernelRelease(root Root) (string, error) {
	release, err := readTrimmed(root, "proc/sys/kernel/osrelease")
	if err != nil {
		return "", err
	}
	if release == "" || len(release) > 255 || strings.ContainsAny(release, "/\x00") || strings.HasPrefix(release, ".") {
		return "", fmt.Errorf("the kernel release %.64q is not a name", release)
	}
	return release, nil
}

func collectKernelVersion(h host, out *facts.Features) error {
	release, err := kernelRelease(h.root)
	out.Attributes["kernel.version"] = parseKernelVersion(release)
	return err
}

// parseKernelVersion splits a kernel release at its leading numbers, also when
// something follows without a separator, as in 6.1.0+bpo or 5.10.y.
func parseKernelVersion(release string) map[string]string {
	full := strings.Map(func(r rune) rune {
		if facts.IsLabelRune(r) {
			return r
		}
		return '_' // as in NFD
	}, release)
	version := map[string]string{"full": strings.Trim(full, "-_.")}
	rest := release
	for _, element := range []string{"major", "minor", "revision"} {
		digits := leadingDigits(rest)
		if digits == "" {
			break
		}
		version[element] = digits
		var ok bool
		if rest, ok = strings.CutPrefix(rest[len(digits):], "."); !ok {
			break
		}
	}
	return version
}

func leadingDigits(s string) string {
	return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
}

func collectSELinux(h host, out *facts.Features) error {
	enforce, err := readIn(h.root, "sys/fs", "sys/fs/selinux/enforce")
	out.Attributes["kernel.selinux"] = map[string]string{"enabled": strconv.FormatBool(enforce == "1")}
	return err
}

// collectKVM looks for the device of the kernel's hypervisor.
func collectKVM(h host, out *facts.Features) error {
	enabled, err := existsIn(h.root, "sys/devices/virtual", "sys/devices/virtual/misc/kvm")
	out.Attributes["kernel.kvm"] = map[string]string{"enabled": strconv.FormatBool(enabled)}
	return err
}

func collectLoadedModules(h host, out *facts.Features) error {
	modules, err := loadedModules(h.root)
	out.Flags["kernel.loadedmodule"] = modules
	return err
}

// loadedModules returns nothing for a kernel that cannot load modules: it has a
// proc without modules.
func loadedModules(root Root) ([]string, error) {
	data, err := root.ReadFile("proc/modules")
	if errors.Is(err, fs.ErrNotExist) && root.stat("proc/sys/kernel/osrelease") == nil {
		err = nil
	}
	return parseModules(data), err
}

// parseModules returns the first word of each line of proc/modules.
func parseModules(data []byte) []string {
	var modules []string
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 0 {
			modules = append(modules, fields[0])
		}
	}
	return modules
}

// collectEnabledModules combines loaded and built-in modules. When the list of
// built-in modules is missing, those loaded are known and all others unknown.
func collectEnabledModules(h host, out *facts.Features) error {
	modules, err := loadedModules(h.root)
	if err != nil {
		return err
	}
	builtin, err := builtinModules(h.root)
	if err != nil {
		out.Unknown["kernel.enabledmodule"] = facts.CauseOf(err)
	}
	out.Flags["kernel.enabledmodule"] = append(modules, builtin...)
	return nil
}

func builtinModules(root Root) ([]string, error) {
	release, err := kernelRelease(root)
	if err != nil {
		return nil, err
	}
	name := "lib/modules/" + release + "/modules.builtin"
	data, err := root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if usrData, usrErr := root.ReadFile("usr/" + name); usrErr == nil {
			data, err = usrData, nil
		}
	}
	return parseBuiltinModules(data), err
}

// parseBuiltinModules returns the module names of a modules.builtin file. A
// file name may have dashes where the kernel has underscores; both are returned.
func parseBuiltinModules(data []byte) []string {
	var modules []string
	for line := range strings.Lines(string(data)) {
		name, ok := strings.CutSuffix(path.Base(strings.TrimSpace(line)), ".ko")
		if !ok || name == "" {
			continue
		}
		modules = append(modules, name)
		if kernelName := strings.ReplaceAll(name, "-", "_"); kernelName != name {
			modules = append(modules, kernelName)
		}
	}
	return modules
}
