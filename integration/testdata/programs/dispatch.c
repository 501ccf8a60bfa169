// Code for several CPUs, chosen in the ways in which programs choose: by the loader,
// by a check, and by a pointer that is set at the beginning.
#include <stdio.h>

#define N 1024

static float a[N], b[N], c[N];

#ifdef __clang__
#define CLONES
#else
#define CLONES __attribute__((noinline, target_clones("avx2", "avx512f", "default")))
#endif

CLONES void by_loader(float s) {
	for (int i = 0; i < N; i++)
		c[i] = a[i] * b[i] + s;
}

__attribute__((noinline, target("avx2,fma"))) static void checked_fast(float s) {
	for (int i = 0; i < N; i++)
		c[i] += a[i] * b[i] + s;
}

__attribute__((noinline)) static void checked_slow(float s) {
	for (int i = 0; i < N; i++)
		c[i] += a[i] * b[i] + s;
}

__attribute__((noinline, target("sse4.2,popcnt"))) static unsigned count_fast(unsigned x) { return __builtin_popcount(x); }

__attribute__((noinline)) static unsigned count_slow(unsigned x) {
	unsigned n = 0;
	for (; x; x &= x - 1)
		n++;
	return n;
}

static unsigned (*count)(unsigned) = count_slow;

__attribute__((constructor)) static void choose(void) {
	__builtin_cpu_init();
	if (__builtin_cpu_supports("popcnt"))
		count = count_fast;
}

__attribute__((noinline)) static void by_check(float s) {
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		checked_fast(s);
	else
		checked_slow(s);
}

int main(int argc, char **argv) {
	(void)argv;
	for (int i = 0; i < N; i++) {
		a[i] = i & 15;
		b[i] = i & 7;
	}
	by_loader(argc);
	by_check(argc);
	float sum = 0;
	for (int i = 0; i < N; i++)
		sum += c[i];
	printf("%.0f %u\n", sum, count(argc * 12345u));
	return 0;
}
