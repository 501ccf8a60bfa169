// Prints what the CPU can do, by the kernel's names of flags.
#include <stdio.h>

#ifdef __x86_64__
#include <cpuid.h>

static void flags(unsigned r, const char *const *names) {
	for (int i = 0; i < 32; i++)
		if (names[i] && r >> i & 1)
			printf("%s ", names[i]);
}

int main(void) {
	static const char *const one_c[32] = {[0] = "pni", [1] = "pclmulqdq", [9] = "ssse3", [13] = "cx16", [19] = "sse4_1", [20] = "sse4_2", [22] = "movbe", [23] = "popcnt", [25] = "aes", [26] = "xsave", [30] = "rdrand"};
	static const char *const one_vex[32] = {[12] = "fma", [28] = "avx", [29] = "f16c"};
	static const char *const one_d[32] = {[0] = "fpu", [8] = "cx8", [15] = "cmov", [23] = "mmx", [24] = "fxsr", [25] = "sse", [26] = "sse2"};
	static const char *const seven_b[32] = {[3] = "bmi1", [8] = "bmi2", [18] = "rdseed", [19] = "adx", [29] = "sha_ni"};
	static const char *const seven_vex[32] = {[5] = "avx2", [16] = "avx512f", [17] = "avx512dq", [28] = "avx512cd", [30] = "avx512bw", [31] = "avx512vl"};
	static const char *const ext_c[32] = {[0] = "lahf_lm", [5] = "abm", [6] = "sse4a", [11] = "xop", [16] = "fma4", [21] = "tbm"};
	static const char *const ext_d[32] = {[11] = "syscall", [29] = "lm"};
	unsigned a, b, c, d;
	__get_cpuid(1, &a, &b, &c, &d);
	flags(c, one_c);
	flags(d, one_d);
	int saved = 0;
	if (c >> 27 & 1) { // the system saves what xgetbv says
		unsigned low, high;
		__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
		saved = (low & 6) == 6;
	}
	if (saved)
		flags(c, one_vex);
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
		flags(b, seven_b);
		if (saved)
			flags(b, seven_vex);
	}
	if (__get_cpuid(0x80000001, &a, &b, &c, &d)) {
		flags(c, ext_c);
		flags(d, ext_d);
	}
	puts("");
	return 0;
}
#else
#include <sys/auxv.h>

int main(void) {
	static const char *const names[] = {"fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32", "atomics", "fphp", "asimdhp", "cpuid", "asimdrdm", "jscvt", "fcma", "lrcpc", "dcpop", "sha3", "sm3", "sm4", "asimddp", "sha512", "sve", "asimdfhm", "dit", "uscat", "ilrcpc", "flagm", "ssbs", "sb", "paca", "pacg"};
	static const char *const more[] = {"dcpodp", "sve2", "sveaes", "svepmull", "svebitperm", "svesha3", "svesm4", "flagm2", "frint", "svei8mm", "svef32mm", "svef64mm", "svebf16", "i8mm", "bf16"};
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (getauxval(AT_HWCAP) >> i & 1)
			printf("%s ", names[i]);
	for (unsigned i = 0; i < sizeof more / sizeof *more; i++)
		if (getauxval(AT_HWCAP2) >> i & 1)
			printf("%s ", more[i]);
	puts("");
	return 0;
}
#endif
