package hostfacts

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

// TestCPUHasWhatAllOfItsCoresHave: of a hybrid CPU the least of all cores counts, for
// programs move between them.
func TestCPUHasWhatAllOfItsCoresHave(t *testing.T) {
	t.Parallel()
	const v8 = "CPU implementer : 0x41\nCPU architecture: 8\nCPU variant : 0x1\nCPU revision : 0\n"
	for name, tt := range map[string]struct {
		cpuinfo, flags, core, arch string
	}{
		"x86": {"processor : 0\nvendor_id : GenuineIntel\nflags : lm sse2 avx2 avx512f\n\nprocessor : 1\nvendor_id : GenuineIntel\nflags : lm sse2 avx2\n",
			"lm sse2 avx2", "", "amd64"},
		"big.LITTLE": {"processor : 0\nFeatures : fp asimd crc32\n" + v8 + "CPU part : 0xd03\n\nprocessor : 1\nFeatures : fp asimd crc32 atomics\n" + v8 + "CPU part : 0xd0c\n",
			"fp asimd crc32", "", "arm64"},
		"equal cores": {"processor : 0\nFeatures : fp asimd\n" + v8 + "CPU part : 0xd0c\n\nprocessor : 1\nFeatures : fp asimd\n" + v8 + "CPU part : 0xd0c\n",
			"fp asimd", "0xd0c", "arm64"},
		"32-bit ARM of old kernels": {"Processor : ARMv7 Processor rev 3 (v7l)\nprocessor : 0\nBogoMIPS : 38.40\n\nprocessor : 1\nBogoMIPS : 38.40\n\n" +
			"Features : half thumb vfp neon\nCPU implementer : 0x41\nCPU variant : 0x2\nCPU part : 0xc07\nCPU revision : 3\n",
			"half thumb vfp neon", "0xc07", "arm"},
		"RISC-V": {"processor : 0\nisa : rv64imafdcv_zicsr_zba\n\nprocessor : 1\nisa : rv64imafdc_zicsr\n", "i m a f d c zicsr", "", "riscv64"},
	} {
		c, err := parseCPUInfo([]byte(tt.cpuinfo))
		if err != nil || strings.Join(c.Flags, " ") != tt.flags || c.Core != tt.core || c.Arch != tt.arch {
			t.Errorf("%s: %v %q %s, %v", name, c.Flags, c.Core, c.Arch, err)
		}
	}
}

// TestCutOffProcessorIsLeftOut: of a file that is longer than what is read the last
// processor may lack flags.
func TestCutOffProcessorIsLeftOut(t *testing.T) {
	t.Parallel()
	one := "processor : 0\nflags : lm sse2 avx2\npadding : "
	one += strings.Repeat("x", maxCPUInfo-len(one)-60) + "\n"
	text := one + "processor : 1\nflags : lm sse2 avx2 avx512f\n"
	text = text[:strings.LastIndex(text, " avx512f")-3]
	text += strings.Repeat(" ", maxCPUInfo-len(text))
	c, err := parseCPUInfo([]byte(text))
	if err != nil || !slices.Contains(c.Flags, "avx2") {
		t.Errorf("%v, %v", c.Flags, err)
	}
}

func TestMainframeHasTheFactsOfNFD(t *testing.T) {
	t.Parallel()
	cpuinfo := "vendor_id       : IBM/S390\n# processors    : 2\nfeatures\t: esan3 zarch stfle vx vxd vxe gs vxe2 sort dflt pcimio sie\n" +
		"processor 0: version = 00,  identification = 0DBBF8,  machine = 8561\nprocessor 1: version = 00,  identification = 0DBBF8,  machine = 8561\n"
	for name, tt := range map[string]struct{ cpuinfo, sysinfo, hypervisor string }{
		"KVM":               {cpuinfo, "Manufacturer: IBM\nVM00 Name: a\nVM00 Control Program: KVM/Linux\n", "KVM_Linux"},
		"z/VM":              {cpuinfo + "\ncpu number : 0\nidentification : 0DBBF8\nmachine : 8561\n", "VM00 Control Program: z/VM    7.2.0\n", "z_VM_7.2.0"},
		"logical partition": {cpuinfo, "Manufacturer: IBM\nLPAR Name: P1\n", "none"},
	} {
		known := collectCPU(t, tt.cpuinfo, map[string]string{"proc/sysinfo": tt.sysinfo})
		for element, want := range map[string]string{"vendor_id": "IBM_S390", "id": "8561", "family": "0DBBF8", "hypervisor": tt.hypervisor} {
			if got := known.Lookup("cpu.model", element); got.Value != want {
				t.Errorf("%s: %s is %q (%s), want %s", name, element, got.Value, got.Cause, want)
			}
		}
		for _, flag := range []string{"VXE2", "GS", "ESAN3", "PCIMIO"} {
			if got := known.Lookup("cpu.cpuid", flag).State; got != facts.Present {
				t.Errorf("%s: %s is %s", name, flag, got)
			}
		}
		if got := known.Lookup("cpu.cpuid", "NNPA").State; got != facts.Absent || known.Arch() != "s390x" {
			t.Errorf("%s: NNPA is %s on %s", name, got, known.Arch())
		}
	}
}

func TestFlagsOfPOWERAreThoseOfTheAuxiliaryVector(t *testing.T) {
	t.Parallel()
	for _, order := range []interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}{binary.LittleEndian, binary.BigEndian} {
		var auxv []byte
		for _, word := range []uint64{33, 0x7fff0000, 16, 0xdc0065c2, 17, 100, 26, 0xaef60000, 0, 0} {
			auxv = order.AppendUint64(auxv, word)
		}
		flags, err := powerFlagsOf(auxv, order)
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range strings.Fields("PPC64 ALTIVEC VSX ARCH_2_06 TRUE_LE ARCH_2_07 ARCH_3_00 ARCH_3_1 MMA DARN ISEL VCRYPTO") {
			if !slices.Contains(flags, flag) {
				t.Errorf("%s is missing in %v", flag, flags)
			}
		}
		for _, flag := range strings.Fields("SPE PPCLE HTM-NOSC - BOOKE") {
			if slices.Contains(flags, flag) {
				t.Errorf("%s is among %v", flag, flags)
			}
		}
	}
	if _, err := powerFlagsOf(nil, binary.BigEndian); err == nil {
		t.Error("an empty vector has flags")
	}
	known := collectCPU(t, "processor : 0\ncpu : POWER9, altivec supported\n", nil)
	if got := known.Lookup("cpu.cpuid", "VSX"); got.State != facts.Unknown {
		t.Errorf("of a tree VSX is %s", got.State)
	}
}

func TestRISCVProfileFollowsFromTheISA(t *testing.T) {
	t.Parallel()
	const rva22 = "rv64imafdc_zicbom_zicboz_zicntr_zicsr_zifencei_zihintpause_zihpm_zfhmin_zba_zbb_zbs_zkt"
	for name, tt := range map[string]struct {
		isa  string
		want facts.Fact
	}{
		"20":            {"rv64imafdch_zicsr_zifencei_zba_sscofpmf", facts.Fact{State: facts.Present, Value: "20"}},
		"22":            {rva22, facts.Fact{State: facts.Present, Value: "22"}},
		"23":            {strings.Replace(rva22, "dc_", "dcv_", 1) + "_zvfhmin_zvbb_zvkt_zihintntl_zicond_zimop_zcmop_zcb_zfa_zawrs", facts.Fact{State: facts.Present, Value: "23"}},
		"none":          {"rv64imac_zicsr", facts.Fact{State: facts.Absent}},
		"an old kernel": {"rv64imafdcv_sscofpmf_zicbom_zicboz_zihintpause", facts.Fact{Cause: "whether the CPU has zba, zbb, zbs, zfhmin, zkt is not known"}},
	} {
		known := collectCPU(t, "processor : 0\nhart : 0\nisa : "+tt.isa+"\n", nil)
		if got := known.Lookup("cpu.riscv64", "profile"); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
		if got := known.Lookup("cpu.riscv64", "isa").Value; got != tt.isa {
			t.Errorf("%s: isa %s, want %s", name, got, tt.isa)
		}
	}
	if got := collectCPU(t, "processor : 0\nflags : lm\n", nil).Lookup("cpu.riscv64", "profile").State; got != facts.Absent {
		t.Errorf("on x86 the profile is %s", got)
	}
}

func TestFlagsOf32BitARMAreSpeltAsByNFD(t *testing.T) {
	t.Parallel()
	known := collectCPU(t, "processor : 0\nFeatures : half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae\n"+
		"CPU implementer : 0x41\nCPU variant : 0x0\nCPU part : 0xc07\nCPU revision : 5\n", nil)
	for _, flag := range strings.Fields("HALF THUMB FASTMUL VFP NEON VFPv3 VFPv4 IDIVA VFPD32 LPAE") {
		if got := known.Lookup("cpu.cpuid", flag).State; got != facts.Present || known.Arch() != "arm" {
			t.Errorf("%s is %s on %s", flag, got, known.Arch())
		}
	}
}
