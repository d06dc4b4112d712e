// SPDX-License-Identifier: GPL-2.0-only
/* getdents64() into buffers that no process has: each must fail with EFAULT. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	static const unsigned long bad[] = {
		0x00ffffffffff0000, 0x0123000000000000, 0x8000000000000000, 0xffff888000000000,
	};
	unsigned int i;
	int failed = 0;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = open("/", O_RDONLY | O_DIRECTORY);
		long ret = syscall(SYS_getdents64, fd, bad[i], 4096);

		if (ret != -1 || errno != EFAULT) {
			printf("%lx: %ld, errno %d\n", bad[i], ret, errno);
			failed = 1;
		}
		close(fd);
	}
	return failed;
}
