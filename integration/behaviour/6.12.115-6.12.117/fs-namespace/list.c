// Asks for the mounts behind the last possible id: there are none.
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct request {
	uint32_t size, spare;
	uint64_t mnt_id, param;
};

int main(void)
{
	struct request all = { sizeof(all), 0, UINT64_MAX /* LSMT_ROOT */, 0 }, behind = all;
	uint64_t ids[64];
	long count, rest;

	behind.param = UINT64_MAX;
	count = syscall(458, &all, ids, 64, 0);
	rest = syscall(458, &behind, ids, 64, 0);
	if (count > 0 && rest == 0)
		puts("fixed");
	else if (count > 0 && rest == count)
		puts("broken");
	else
		printf("%ld mounts, %ld behind the last: %s\n", count, rest, strerror(errno));
	return 0;
}
