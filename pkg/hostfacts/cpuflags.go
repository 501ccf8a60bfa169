package hostfacts

import (
	"slices"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"github.com/imagefit/imagefit/pkg/facts"
)

// cpuFlags maps the kernel's flag names of an architecture to those of cpu.cpuid in
// NFD. It reports false for an architecture without a table.
//
// Only flags that the kernel shows can be found this way; some of those that only
// CPUID reports, such as AVXSLOW or the speculation controls, are missing.
func cpuFlags(c cpuInfo) ([]string, bool) {
	switch c.Arch {
	case "amd64", "386":
		names := x86FlagNames()
		var flags []string
		for _, flag := range c.Flags {
			flags = append(flags, names[flag]...)
		}
		if c.smt {
			flags = append(flags, "HTT")
		}
		return flags, true
	case "arm64", "s390x":
		return strings.Fields(strings.ToUpper(strings.Join(c.Flags, " "))), true
	case "arm":
		return facts.ARMFlags(c.Flags), true
	default:
		return nil, false
	}
}

// kernelNames is x86FlagNames for flags that the kernel and NFD both name.
func kernelNames() map[string][]string {
	names := x86FlagNames()
	// archspec goes by the kernel's old name of the flag, which is that of NFD's too.
	names["sse3"] = names["pni"]
	return names
}

// kernelFlags is the inverse of cpuFlags: the kernel's names of flags of NFD.
func kernelFlags(arch string, flags []string) []string {
	if arch != "amd64" && arch != "386" {
		return strings.Fields(strings.ToLower(strings.Join(flags, " ")))
	}
	has := make(map[string]bool, len(flags))
	level := 0
	for _, flag := range flags {
		has[flag] = true
		if strings.HasPrefix(flag, "X86_64_V") { // it stands for those of the level
			level = max(level, facts.X86LevelOfFlag(flag))
		}
	}
	var names []string
	for name, all := range kernelNames() {
		of := facts.X86LevelOfFlag(all[0])
		if has[all[0]] || of > 0 && of <= level { // the rest of all only goes with it
			names = append(names, name)
		}
	}
	return names
}

// x86FlagNames reads x86FlagTable.
func x86FlagNames() map[string][]string {
	names := map[string][]string{}
	for entry := range strings.SplitSeq(x86FlagTable, ",") {
		words := strings.Fields(entry)
		names[words[0]] = words[1:]
	}
	return names
}

// otherFlags are the flags of other architectures than x86, in the kernel's
// spelling but upper case.
const otherFlags = `FP ASIMD EVTSTRM AES PMULL SHA1 SHA2 CRC32 ATOMICS FPHP ASIMDHP CPUID ASIMDRDM JSCVT FCMA LRCPC DCPOP SHA3 SM3 SM4
ASIMDDP SHA512 SVE ASIMDFHM DIT USCAT ILRCPC FLAGM SSBS SB PACA PACG DCPODP SVE2 SVEAES SVEPMULL SVEBITPERM SVESHA3
SVESM4 FLAGM2 FRINT SVEI8MM SVEF32MM SVEF64MM SVEBF16 I8MM BF16 DGH RNG BTI MTE ECV AFP RPRES MTE3 SME SMEI16I64
SMEF64F64 SMEI8I32 SMEF16F32 SMEB16F32 SMEF32F32 SMEFA64 WFXT EBF16 SVEEBF16 CSSC RPRFM SVE2P1 SME2 SME2P1 MOPS HBC
GCS LRCPC3 LSE128 LUT FAMINMAX
SWP HALF THUMB 26BIT FASTMUL FPA VFP EDSP JAVA IWMMXT CRUNCH THUMBEE NEON VFPv3 VFPv3D16 TLS VFPv4 IDIVA IDIVT VFPD32 LPAE
ESAN3 ZARCH STFLE MSA LDISP EIMM EDAT ETF3EH HIGHGPRS TE VX VXD VXE VXE2 VXP VXP2 SORT DFLT GS NNPA SIE PCIMIO
` + powerFlagNames

// CPUFlags returns the names that the elements of cpu.cpuid can have, on x86 and
// on other architectures.
func CPUFlags() (x86, others []string) {
	x86 = []string{"AVX10_VERSION", "X86_64_V1", "X86_64_V2", "X86_64_V3", "X86_64_V4"}
	others = strings.Fields(otherFlags)
	for id := cpuid.FeatureID(1); id < 4096; id++ {
		name := id.String()
		switch {
		case name == "lastID" || strings.HasPrefix(name, "FeatureID("):
			return x86, others
		case strings.HasPrefix(name, "RV_") || strings.HasPrefix(name, "ARM"):
			others = append(others, name)
		case !slices.Contains(others, name):
			x86 = append(x86, name)
		}
	}
	return x86, others
}

// x86FlagTable has the kernel's name of a flag, and then those of
// klauspost/cpuid, which NFD uses. The kernel shows avx only when the OS saves
// its state, hence OSXSAVE.
const x86FlagTable = `
3dnow AMD3DNOW, 3dnowext AMD3DNOWEXT, abm LZCNT, adx ADX, aes AESNI, amx_bf16 AMXBF16, amx_complex AMXCOMPLEX,
amx_fp16 AMXFP16, amx_int8 AMXINT8, amx_tile AMXTILE, apx APX_F, arch_capabilities IA32_ARCH_CAP,
avx AVX OSXSAVE, avx10 AVX10, avx2 AVX2, avx512_bf16 AVX512BF16, avx512_bitalg AVX512BITALG,
avx512_fp16 AVX512FP16, avx512_vbmi2 AVX512VBMI2, avx512_vnni AVX512VNNI,
avx512_vp2intersect AVX512VP2INTERSECT, avx512_vpopcntdq AVX512VPOPCNTDQ, avx512bw AVX512BW, avx512cd AVX512CD,
avx512dq AVX512DQ, avx512er AVX512ER, avx512f AVX512F, avx512ifma AVX512IFMA, avx512pf AVX512PF,
avx512vbmi AVX512VBMI, avx512vl AVX512VL, avx_ifma AVXIFMA, avx_ne_convert AVXNECONVERT, avx_vnni AVXVNNI,
avx_vnni_int16 AVXVNNIINT16, avx_vnni_int8 AVXVNNIINT8, bmi1 BMI1, bmi2 BMI2, cldemote CLDEMOTE, clzero CLZERO,
cmov CMOV, cmpccxadd CMPCCXADD, core_capabilities IA32_CORE_CAP, cpb CPBOOST, cppc CPPC, cx16 CX16,
cx8 CMPXCHG8, decodeassists SVMDA, enqcmd ENQCMD, erms ERMS, f16c F16C, flush_l1d FLUSH_L1D,
flushbyasid SVMFBASID, fma FMA3, fma4 FMA4, fpu X87, fred FRED, fsrm FSRM, fxsr FXSR, gfni GFNI, hle HLE,
hybrid_cpu HYBRID_CPU, hypervisor HYPERVISOR, ibpb IBPB, ibs IBS, ibt CETIBT, lahf_lm LAHF, lam LAM,
lbrv LBRVIRT, md_clear MD_CLEAR, mmx MMX, mmxext MMXEXT, movbe MOVBE, movdir64b MOVDIR64B, movdiri MOVDIRI,
mpx MPX, npt SVMNP, nrip_save NRIPS, nx NX, overflow_recov MCAOVERFLOW, pausefilter SVMPF, pclmulqdq CLMUL,
pconfig PCONFIG, pfthreshold SVMPFT, pni SSE3, popcnt POPCNT, rdpru RDPRU, rdrand RDRAND, rdseed RDSEED,
rdtscp RDTSCP, rtm RTM, rtm_always_abort RTM_ALWAYS_ABORT, sep SYSEE, serialize SERIALIZE, sev SEV,
sev_es SEV_ES, sev_snp SEV_SNP, sgx SGX, sgx_lc SGXLC, sha_ni SHA, sm3 SM3_X86, sm4 SM4_X86, sme SME,
ssbd SPEC_CTRL_SSBD, sse SSE FXSROPT, sse2 SSE2, sse4_1 SSE4, sse4_2 SSE42, sse4a SSE4A, ssse3 SSSE3,
stibp STIBP, succor SUCCOR, svm SVM, svm_lock SVML, syscall SYSCALL, tbm TBM, tdx_guest TDX_GUEST, tme TME,
topoext TOPEXT, tsc_scale TSCRATEMSR, tsxldtrk TSXLDTRK, user_shstk CETSS, vaes VAES, vmcb_clean VMCBCLEAN,
vmx VMX, vpclmulqdq VPCLMULQDQ, waitpkg WAITPKG, wbnoinvd WBNOINVD, wrmsrns WRMSRNS, xgetbv1 XGETBV1, xop XOP,
xsave XSAVE, xsavec XSAVEC, xsaveopt XSAVEOPT, xsaves XSAVES`
