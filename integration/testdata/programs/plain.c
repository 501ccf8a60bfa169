// Nothing that a vector unit helps with.
#include <stdio.h>

int main(void) {
	puts("hello");
	return 0;
}
