// Makes a ring and loads the module, which looks at the list of rings of the task that it is in.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	struct io_uring_params params = {};
	int module = open("behaviour_io_uring_tctx.ko", O_RDONLY);

	if (syscall(SYS_io_uring_setup, 4, &params) < 0 || syscall(SYS_finit_module, module, "", 0)) {
		perror("ring");
		return 1;
	}
	return 0;
}
