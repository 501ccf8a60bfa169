// Loops that compilers use what -march allows for. All numbers are exact, so that
// the output is the same however they are computed.
#include <stdio.h>
#include <string.h>

#define N 2048

static float a[N], b[N], c[N];
static unsigned long words[N];

struct big {
	double values[24];
};

__attribute__((noinline)) static float multiply(float s) {
	float sum = 0;
	for (int i = 0; i < N; i++) {
		c[i] = a[i] * b[i] + s * c[i];
		sum += c[i];
	}
	return sum;
}

__attribute__((noinline)) static unsigned long bits(int shift) {
	unsigned long sum = 0;
	for (int i = 0; i < N; i++)
		sum += __builtin_popcountl(words[i]) + (words[i] >> (shift + (i & 31))) + (words[i] ? __builtin_clzl(words[i]) : 64) +
		       (words[i] & -words[i]) + __builtin_bswap64(words[i]);
	return sum;
}

__attribute__((noinline)) static int round_down(struct big *g, double x) {
	for (int i = 0; i < 24; i++)
		g->values[i] = __builtin_floor(x * i);
	return (int)g->values[11];
}

__attribute__((noinline)) static long widen(const unsigned char *text, int n) {
	long sum = 0;
	for (int i = 0; i < n; i++)
		sum += text[i] * (long)words[i % N] + (text[i] > 100 ? 3 : 5);
	return sum;
}

int main(int argc, char **argv) {
	struct big one, two;
	if (argc > 3)
		return puts(argv[3]);
	for (int i = 0; i < N; i++) {
		a[i] = i & 15;
		b[i] = (i >> 3) & 7;
		words[i] = i * 7777777777ul;
	}
	int floor = round_down(&one, argc * 1.5);
	memcpy(&two, &one, sizeof two);
	float first = multiply(argc), second = multiply(argc + 1);
	printf("%.0f %.0f %lu %d %.0f %ld\n", first, second, bits(argc), floor, two.values[7],
	       widen((const unsigned char *)"some text that is long enough for a vector", 42));
	return 0;
}
