// What no compiler uses unless the source asks for it, without a check.
#include <immintrin.h>
#include <stdio.h>

int main(int argc, char **argv) {
	(void)argv;
	__m128i x = _mm_set1_epi32(argc), y = _mm_aesenc_si128(x, _mm_set1_epi32(7));
	printf("%u %u\n", _mm_crc32_u32(argc, 77), (unsigned)_mm_cvtsi128_si32(y));
	return 0;
}
