// Atomic operations and loops, for 64-bit Arm.
#include <stdio.h>

#define N 1024

static int counter, numbers[N];
static signed char small[N];

__attribute__((noinline)) static int products(void) {
	int sum = 0;
	for (int i = 0; i < N; i++)
		sum += small[i] * small[N - 1 - i];
	return sum;
}

int main(int argc, char **argv) {
	(void)argv;
	for (int i = 0; i < N; i++) {
		small[i] = i & 63;
		numbers[i] = __atomic_fetch_add(&counter, argc, __ATOMIC_SEQ_CST);
	}
	printf("%d %d %d\n", counter, numbers[N - 1], products());
	return 0;
}
