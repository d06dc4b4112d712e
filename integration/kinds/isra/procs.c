// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <sys/sysinfo.h>

int main(void)
{
	struct sysinfo info;

	if (sysinfo(&info))
		return 1;
	printf("%d\n", info.procs);
	return 0;
}
