// Locks a mapping of 2^31 pages (on fault, so that none is there) and compares VmLck with it.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
	const size_t size = (1ul << 31) * 4096;
	void *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char line[200];
	FILE *status = fopen("/proc/self/status", "r");
	unsigned long locked = 0;

	if (area == MAP_FAILED || mlock2(area, size, MLOCK_ONFAULT)) {
		perror("lock");
		return 1;
	}
	while (fgets(line, sizeof(line), status))
		if (!strncmp(line, "VmLck:", 6))
			locked = strtoul(line + 6, NULL, 10);
	/* 2^31 as an int is -2^31; what /proc shows is that, in KiB, of 64 bits. */
	if (locked == size / 1024)
		puts("fixed");
	else if (locked == (unsigned long)-(1l << 31) << 2)
		puts("broken");
	else
		printf("VmLck is %lu\n", locked);
	return 0;
}
