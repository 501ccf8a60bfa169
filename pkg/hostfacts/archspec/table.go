package archspec

import "cmp"

// table has the public facts of archspec's micro-architectures, from
// https://github.com/archspec/archspec-json as of 2026-08-19, copyright of the
// Archspec project's contributors, Apache-2.0 or MIT. One a line:
//
//	name | parents | vendor | id | features the parents lack
//
// Parents come before their children. The id distinguishes cores of one vendor:
// the part number on ARM, the generation on POWER, and on RISC-V any of the
// names the kernel has for the core, separated by semicolons. The last group is
// not in archspec's data; there it takes the machine's name for the target. Of
// RISC-V, archspec lists no features; those here are what it gives compilers.
const table = `
x86 | | generic
i686 | x86 | GenuineIntel
pentium2 | i686 | GenuineIntel | | mmx
pentium3 | pentium2 | GenuineIntel | | sse
pentium4 | pentium3 | GenuineIntel | | sse2
prescott | pentium4 | GenuineIntel | | sse3

x86_64 | | generic
x86_64_v2 | x86_64 | generic | | cx16 lahf_lm mmx sse sse2 ssse3 sse4_1 sse4_2 popcnt
x86_64_v3 | x86_64_v2 | generic | | avx avx2 bmi1 bmi2 f16c fma abm movbe xsave
x86_64_v4 | x86_64_v3 | generic | | avx512f avx512bw avx512cd avx512dq avx512vl

nocona | x86_64 | GenuineIntel | | mmx sse sse2 sse3
core2 | nocona | GenuineIntel | | ssse3
nehalem | core2 x86_64_v2 | GenuineIntel
westmere | nehalem | GenuineIntel | | aes pclmulqdq
sandybridge | westmere | GenuineIntel | | avx
ivybridge | sandybridge | GenuineIntel | | rdrand f16c
haswell | ivybridge x86_64_v3 | GenuineIntel
broadwell | haswell | GenuineIntel | | rdseed adx
skylake | broadwell | GenuineIntel | | clflushopt xsavec xsaveopt
mic_knl | broadwell | GenuineIntel | | avx512f avx512pf avx512er avx512cd
skylake_avx512 | skylake x86_64_v4 | GenuineIntel | | clwb
cannonlake | skylake x86_64_v4 | GenuineIntel | | avx512vbmi avx512ifma sha_ni
cascadelake | skylake_avx512 | GenuineIntel | | avx512_vnni
icelake | cascadelake cannonlake | GenuineIntel | | rdpid gfni avx512_vbmi2 avx512_vpopcntdq avx512_bitalg vpclmulqdq vaes
sapphirerapids | icelake | GenuineIntel | | avx512_bf16 cldemote movdir64b movdiri serialize waitpkg amx_bf16 amx_tile amx_int8
alderlake | skylake | GenuineIntel | | avx_vnni sha_ni clwb rdpid gfni vaes vpclmulqdq movdiri movdir64b serialize waitpkg
arrowlake | alderlake | GenuineIntel | | avx_ifma avx_ne_convert avx_vnni_int8 cmpccxadd
arrowlake_s | arrowlake | GenuineIntel | | avx_vnni_int16 sha512 sm3 sm4

k10 | x86_64 | AuthenticAMD | | mmx sse sse2 sse4a abm cx16 3dnow 3dnowext
bulldozer | x86_64_v2 | AuthenticAMD | | sse4a xsave abm avx xop fma4 aes pclmulqdq
piledriver | bulldozer | AuthenticAMD | | bmi1 f16c fma tbm
steamroller | piledriver | AuthenticAMD | | fsgsbase
excavator | steamroller x86_64_v3 | AuthenticAMD
zen | x86_64_v3 | AuthenticAMD | | fsgsbase rdseed clzero aes pclmulqdq sse4a xsavec xsaveopt clflushopt
zen2 | zen | AuthenticAMD | | clwb
zen3 | zen2 | AuthenticAMD | | vaes vpclmulqdq pku
zen4 | zen3 x86_64_v4 | AuthenticAMD | | gfni flush_l1d avx512ifma avx512_bf16 avx512vbmi avx512_vbmi2 avx512_vnni avx512_bitalg avx512_vpopcntdq
zen5 | zen4 | AuthenticAMD | | avx512_vp2intersect avx_vnni movdir64b movdiri tsc_adjust

ppc64 | | generic
power7 | ppc64 | IBM | 7
power8 | power7 | IBM | 8
power9 | power8 | IBM | 9
power10 | power9 | IBM | 10
ppc64le | | generic
power8le | ppc64le | IBM | 8
power9le | power8le | IBM | 9
power10le | power9le | IBM | 10

aarch64 | | generic
armv8.1a | aarch64 | generic
armv8.2a | armv8.1a | generic
armv8.3a | armv8.2a | generic
armv8.4a | armv8.3a | generic
armv8.5a | armv8.4a | generic
armv8.6a | armv8.5a | generic
armv9.0a | armv8.5a | generic
armv9.2a | armv9.0a armv8.6a | generic
thunderx2 | armv8.1a | Cavium | 0x0af | fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics cpuid asimdrdm
a64fx | armv8.2a | Fujitsu | 0x001 | fp asimd evtstrm sha1 sha2 crc32 atomics cpuid asimdrdm fphp asimdhp fcma dcpop sve
cortex_a72 | aarch64 | ARM | 0xd08 | fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
neoverse_n1 | cortex_a72 armv8.2a | ARM | 0xd0c | atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp
neoverse_v1 | neoverse_n1 armv8.4a | ARM | 0xd40 | jscvt fcma sha3 sha512 sve asimdfhm dit uscat ilrcpc flagm dcpodp svei8mm svebf16 i8mm bf16 dgh rng
neoverse_v2 | neoverse_n1 armv9.0a | ARM | 0xd4f | jscvt fcma sha3 sha512 sve asimdfhm uscat ilrcpc flagm sb dcpodp sve2 flagm2 frint svei8mm svebf16 i8mm bf16
neoverse_n2 | neoverse_n1 armv9.0a | ARM | 0xd49 | jscvt fcma sha3 sha512 sve asimdfhm uscat ilrcpc flagm sb dcpodp sve2 flagm2 frint svei8mm svebf16 i8mm bf16
neoverse_v3ae | neoverse_v2 armv9.2a | ARM | 0xd83 | afp bti dgh dit ecv paca pacg sm3 sm4 sveaes svebitperm svepmull svesha3 svesm4 wfxt
ampere1 | neoverse_n1 armv8.6a | Ampere | 0xac3 | jscvt fcma sha3 sha512 asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg dcpodp flagm2 frint i8mm bf16 rng bti ecv
ampere1a | ampere1 | Ampere | 0xac4 | sm3 sm4
m1 | armv8.4a | Apple | 0x022 | fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc dcpop sha3 asimddp sha512 asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg dcpodp flagm2 frint
m2 | m1 armv8.5a | Apple | 0x032 | ecv bf16 i8mm bti
m3 | m2 armv8.6a | Apple
m4 | m3 armv8.6a | Apple | | sme sme2

riscv64 | | generic
u74mc | riscv64 | SiFive | sifive,u74-mc | m a f d c
x60 | riscv64 | SpacemiT | spacemit,x60;Spacemit(R) X60 | m a f d c v zicbom zicboz zicond zfh zfhmin zba zbb zbc zbs zkt zvfh zvfhmin zvkt

arm | | generic
ppc | | generic
ppcle | | generic
sparc | | generic
sparc64 | | generic

loongarch64 | | generic
s390x | | generic`

// familyOf is archspec's name of the family of a GOARCH.
func familyOf(arch string) string {
	names := map[string]string{"386": "x86", "amd64": "x86_64", "arm64": "aarch64", "loong64": "loongarch64"}
	return cmp.Or(names[arch], arch) // arm, ppc64, ppc64le, riscv64, s390x are the same word there
}

// armVendor is the table's name of a "CPU implementer"; empty when no core of it is
// in the table.
func armVendor(implementer string) string {
	return map[string]string{
		"0x41": "ARM", "0x43": "Cavium", "0x46": "Fujitsu", "0x61": "Apple", "0xc0": "Ampere",
	}[implementer]
}
