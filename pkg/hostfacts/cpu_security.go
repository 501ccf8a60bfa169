package hostfacts

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"github.com/imagefit/imagefit/pkg/facts"
)

// security fills cpu.security. As in NFD, what is off is absent and not false.
type security struct {
	host
	out      *facts.Features
	elements map[string]string
}

// collectSecurity reads the trusted execution environments: Intel SGX and TDX,
// AMD SEV, IBM Secure Execution.
func collectSecurity(h host, out *facts.Features) error {
	s := security{host: h, out: out, elements: map[string]string{}}
	switch h.arch {
	case "":
		return h.cpuErr
	case "amd64", "386":
		s.addSGX()
		s.addTDX()
		s.addSEV()
	case "s390x":
		out.Origins["cpu.security"] = "/sys/firmware/uv/prot_virt_host"
		s.addSwitch("se.enabled", "sys/firmware", "sys/firmware/uv/prot_virt_host")
	}
	out.Attributes["cpu.security"] = s.elements
	return nil
}

func (s security) unknown(err error, elements ...string) {
	for _, element := range elements {
		s.out.Unknown["cpu.security/"+element] = facts.CauseOf(err)
	}
}

// addSwitch sets the element when the file contains 1 or Y, and reports whether it
// did. When it cannot be read, the dependents are unknown too.
func (s security) addSwitch(element, parent, name string, dependents ...string) bool {
	value, err := readIn(s.root, parent, name)
	if err != nil {
		s.unknown(err, append(dependents, element)...)
		return false
	}
	if value != "1" && value != "Y" {
		return false
	}
	s.elements[element] = "true"
	return true
}

// addSGX considers SGX enabled when the firmware reserved memory for it.
func (s security) addSGX() {
	size, origin, err := s.epcSize()
	if err != nil {
		s.unknown(err, "sgx.enabled", "sgx.epc")
		return
	}
	s.out.Origins["cpu.security/sgx.enabled"] = origin
	s.out.Origins["cpu.security/sgx.epc"] = origin
	if size > 0 {
		s.elements["sgx.enabled"] = "true"
		s.elements["sgx.epc"] = strconv.FormatUint(size, 10)
	}
}

// epcSize returns the bytes of the enclave page cache, and their origin.
func (s security) epcSize() (uint64, string, error) {
	if s.asksCPU() {
		var size uint64
		for _, section := range cpuid.CPU.SGX.EPCSections {
			size += section.EPCSize
		}
		return size, "CPUID", nil
	}
	if s.cpuErr != nil {
		return 0, "", s.cpuErr
	}
	if !slices.Contains(s.cpu.Flags, "sgx") {
		return 0, "/proc/cpuinfo", nil
	}
	const dir = "sys/devices/system/node"
	size, err := sumOverNodes(s.root, dir, "x86/sgx_total_bytes")
	return size, "/" + dir, err
}

// sumOverNodes adds up a number that each memory node has in a file.
func sumOverNodes(root Root, dir, file string) (uint64, error) {
	names, err := root.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, name := range numbered(names, "node") {
		text, err := readTrimmed(root, dir+"/"+name+"/"+file)
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return 0, fmt.Errorf("%s of %s is %.32q, not a size", file, name, text)
		}
		sum += n
	}
	return sum, nil
}

func (s security) addTDX() {
	if s.addSwitch("tdx.enabled", "sys/module", "sys/module/kvm_intel/parameters/tdx", "tdx.total_keys") {
		s.addCapacity("tdx.total_keys", "tdx")
	}
	protected, origin := slices.Contains(s.cpu.Flags, "tdx_guest"), "/proc/cpuinfo"
	switch {
	case s.asksCPU():
		protected, origin = cpuid.CPU.Has(cpuid.TDX_GUEST), "CPUID"
	case s.cpuErr != nil:
		s.unknown(s.cpuErr, "tdx.protected")
		return
	}
	s.out.Origins["cpu.security/tdx.protected"] = origin
	if protected {
		s.elements["tdx.protected"] = "true"
	}
}

func (s security) addSEV() {
	const parameters = "sys/module/kvm_amd/parameters/"
	if s.addSwitch("sev.enabled", "sys/module", parameters+"sev", "sev.asids") {
		s.addCapacity("sev.asids", "sev")
	}
	if s.addSwitch("sev.es.enabled", "sys/module", parameters+"sev_es", "sev.encrypted_state_ids") {
		s.addCapacity("sev.encrypted_state_ids", "sev_es")
	}
	s.addSwitch("sev.snp.enabled", "sys/module", parameters+"sev_snp")
}

// addCapacity sets the element to the number of keys of a kind.
func (s security) addCapacity(element, resource string) {
	const current, legacy = "sys/fs/cgroup/misc.capacity", "sys/fs/cgroup/misc/misc.capacity"
	name := current
	data, err := s.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if old, oldErr := s.root.ReadFile(legacy); oldErr == nil {
			name, data, err = legacy, old, nil
		}
	}
	if err != nil {
		s.unknown(err, element)
		return
	}
	s.out.Origins["cpu.security/"+element] = "/" + name
	if capacity, ok := parseMiscCapacity(data, resource); ok {
		s.elements[element] = capacity
	}
}

// parseMiscCapacity reads one line of the misc controller's capacities, such as
// "sev_es 99".
func parseMiscCapacity(data []byte, resource string) (string, bool) {
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) != 2 || words[0] != resource {
			continue
		}
		n, err := strconv.ParseUint(words[1], 10, 63)
		return strconv.FormatUint(n, 10), err == nil
	}
	return "", false
}
