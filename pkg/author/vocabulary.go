package author

import (
	"slices"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// feature is what is known of a feature set.
type feature struct {
	name string
	// elements are all there can be, in the order of the documentation; none
	// where anything can be.
	elements []string
}

// vocabularyTable has the sets of package hostfacts with their elements; "*" is
// a set of which nobody knows all elements.
const vocabularyTable = `
cpu.cpuid *
cpu.model vendor_id family id hypervisor
cpu.topology hardware_multithreading socket_count
cpu.pstate status turbo scaling_governor scaling
cpu.cstate enabled
cpu.rdt RDTMON RDTCMT RDTMBM RDTL3CA RDTL2CA RDTMBA RDTL3CA_NUM_CLOSID RDTL3CDP
cpu.security sgx.enabled sgx.epc tdx.enabled tdx.protected tdx.total_keys sev.enabled sev.es.enabled sev.snp.enabled sev.asids sev.encrypted_state_ids se.enabled
cpu.sst bf.enabled
cpu.coprocessor nx_gzip
cpu.x86_64 level
cpu.archspec *
cpu.microarchitecture name vendor family generation
cpu.arm64 level
kernel.version full major minor revision
kernel.config *
kernel.loadedmodule *
kernel.enabledmodule *
kernel.selinux enabled
kernel.kvm enabled
kernel.cmdline *
kernel.sysctl *
memory.numa is_numa node_count
memory.swap enabled
memory.hugepages *
memory.nv name devtype mode
network.device name operstate speed mtu sriov_numvfs sriov_totalvfs
network.virtual name operstate speed mtu
pci.device class vendor device subsystem_vendor subsystem_device sriov_totalvfs iommu_group/type iommu/intel-iommu/version
usb.device class vendor device serial
storage.block name dax rotational nr_zones zoned
system.osrelease *
system.dmiid *
system.name nodename
system.libc implementation version
system.cgroup version controllers
system.virtualization type
local.label *
local.feature *
rule.matched *
gpu.device vendor vendor_id device_id class address model memory_mib architecture compute_capability gfx_target driver driver_version cuda_version integrated
gpu.nvidia count driver_version cuda_version kernel_module compute_capability memory_mib architecture model
gpu.amd count driver_version gfx_target gfx_targets rocm_version model memory_mib
gpu.intel count discrete_count driver driver_version model memory_mib
rdma.device name node_type driver port link_layer state rate_gbps
rdma.fabric infiniband roce iwarp efa cxi opa
rdma.host capable available
mpi.installation implementation version abi prefix library
mpi.host implementation version abi
libfabric.installation prefix version file_version
`

// otherFlags are flags of cpu.cpuid that the library which names those of x86
// does not have: the levels of x86-64, and what kernels of other architectures
// call theirs.
const otherFlags = `X86_64_V1 X86_64_V2 X86_64_V3 X86_64_V4 AVX10_VERSION
FP ASIMD EVTSTRM AES PMULL SHA1 SHA2 CRC32 ATOMICS FPHP ASIMDHP CPUID ASIMDRDM JSCVT FCMA LRCPC DCPOP SHA3 SM3 SM4
ASIMDDP SHA512 SVE ASIMDFHM DIT USCAT ILRCPC FLAGM SSBS SB PACA PACG DCPODP SVE2 SVEAES SVEPMULL SVEBITPERM SVESHA3
SVESM4 FLAGM2 FRINT SVEI8MM SVEF32MM SVEF64MM SVEBF16 I8MM BF16 DGH RNG BTI MTE ECV AFP RPRES MTE3 SME SMEI16I64
SMEF64F64 SMEI8I32 SMEF16F32 SMEB16F32 SMEF32F32 SMEFA64 WFXT EBF16 SVEEBF16 CSSC RPRFM SVE2P1 SME2 SME2P1 MOPS HBC
GCS LRCPC3 LSE128 LUT FAMINMAX
SWP HALF THUMB FASTMULT VFP EDSP NEON VFPV3 VFPV3D16 TLS VFPV4 IDIVA IDIVT VFPD32 LPAE
ALTIVEC VSX ARCH_2_06 ARCH_2_07 ARCH_3_00 ARCH_3_1 MMA DFP HTM DARN SCV IEEE128 VCRYPTO TAR ISEL EBB
ESAN3 ZARCH STFLE MSA LDISP EIMM EDAT ETF3EH HIGHGPRS TE VX VXD VXE VXE2 VXP VXP2 SORT DFLT GS NNPA SIE`

// vocabulary is what the nodes of this world can offer.
type vocabulary struct {
	features map[string]feature
	names    []string
	x86      []string // flags of cpu.cpuid of x86 alone
	flags    []string // all flags of cpu.cpuid
}

func newVocabulary() *vocabulary {
	v := &vocabulary{features: map[string]feature{}}
	for line := range strings.Lines(vocabularyTable) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		f := feature{name: words[0], elements: words[1:]}
		if words[1] == "*" {
			f.elements = nil
		}
		v.features[f.name] = f
		v.names = append(v.names, f.name)
	}
	others := strings.Fields(otherFlags)
	for id := cpuid.FeatureID(1); id < 4096; id++ {
		name := id.String()
		if name == "lastID" || strings.HasPrefix(name, "FeatureID(") {
			break
		}
		v.flags = append(v.flags, name)
		if !slices.Contains(others, name) && !strings.HasPrefix(name, "RV_") && !strings.HasPrefix(name, "ARM") {
			v.x86 = append(v.x86, name)
		}
	}
	v.flags = append(v.flags, others...)
	return v
}

// isFamily tells the first words of the names that are collected: what is of
// another family may be the operator's own.
func (v *vocabulary) isFamily(set string) bool {
	family, _, _ := strings.Cut(set, ".")
	return family == "rule" || slices.Contains(hostfacts.Families(), family)
}

// isX86Flag tells a flag that only CPUs of x86 have.
func (v *vocabulary) isX86Flag(flag string) bool {
	return slices.Contains(v.x86, flag) || strings.HasPrefix(flag, "X86_64_V")
}

// spelling is a wrong way to write the values of some elements.
type spelling struct {
	set, element string
	values       map[string]string // wrong, in lower case, to right
	known        []string          // all right ones; none where others are possible
}

// spellings are the values that people write and no node has. NFD and imagefit
// tell the vendor of a CPU by a name of their own, not by that of CPUID.
func spellings() []spelling {
	switches := map[string]string{
		"yes": "true", "no": "false", "on": "true", "off": "false", "enabled": "true", "disabled": "false", "1": "true", "0": "false",
		"true": "true", "false": "false",
	}
	all := []spelling{
		{"cpu.model", "vendor_id", map[string]string{
			"amd": "AMD", "authenticamd": "AMD", "intel": "Intel", "genuineintel": "Intel", "arm": "ARM",
			"hygongenuine": "Hygon", "hygon": "Hygon",
		}, nil},
		{"gpu.device", "vendor", map[string]string{"nvidia": "nvidia", "amd": "amd", "intel": "intel"}, []string{"nvidia", "amd", "intel"}},
		{"system.libc", "implementation", map[string]string{"glibc": "glibc", "gnu": "glibc", "musl": "musl"}, []string{"glibc", "musl"}},
		{"cpu.pstate", "status", map[string]string{"active": "active", "passive": "passive"}, []string{"active", "passive", "off"}},
		{"storage.block", "rotational", map[string]string{"true": "1", "false": "0", "yes": "1", "no": "0"}, []string{"0", "1"}},
		{"mpi.host", "implementation", map[string]string{
			"open-mpi": "openmpi", "ompi": "openmpi", "openmpi": "openmpi", "intelmpi": "intel-mpi", "impi": "intel-mpi", "mpich": "mpich",
		}, nil},
	}
	for _, e := range []struct{ set, element string }{
		{"cpu.topology", "hardware_multithreading"}, {"cpu.pstate", "turbo"}, {"cpu.cstate", "enabled"},
		{"kernel.selinux", "enabled"}, {"kernel.kvm", "enabled"}, {"memory.numa", "is_numa"}, {"memory.swap", "enabled"},
		{"memory.hugepages", "enabled"}, {"cpu.security", "sgx.enabled"}, {"cpu.security", "tdx.enabled"},
		{"cpu.security", "sev.enabled"}, {"cpu.security", "sev.es.enabled"}, {"cpu.security", "sev.snp.enabled"},
		{"cpu.security", "se.enabled"}, {"cpu.sst", "bf.enabled"}, {"cpu.coprocessor", "nx_gzip"},
		{"rdma.host", "capable"}, {"rdma.host", "available"},
	} {
		all = append(all, spelling{e.set, e.element, switches, []string{"true", "false"}})
	}
	return all
}

// rightValue returns how nodes write a value, where they write it otherwise.
func rightValue(set, element, value string) (string, bool) {
	if set == "pci.device" || set == "usb.device" {
		return rightID(element, value)
	}
	for _, s := range spellings() {
		if s.set != set || s.element != element {
			continue
		}
		right, ok := s.values[strings.ToLower(value)]
		return right, ok && right != value
	}
	return "", false
}

// rightID writes an identifier of a device as the kernel does: hexadecimal, in
// lower case, without 0x.
func rightID(element, value string) (string, bool) {
	switch element {
	case "class", "vendor", "device", "subsystem_vendor", "subsystem_device":
		right := strings.TrimPrefix(strings.ToLower(value), "0x")
		return right, right != value && right != ""
	default:
		return "", false
	}
}
