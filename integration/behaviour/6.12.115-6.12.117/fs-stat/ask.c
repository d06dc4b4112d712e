// Which attributes statx() knows of a file in memory: DAX since long, verity with the fix; compression is none of them.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	struct statx about = {};
	unsigned long long known;

	if (syscall(SYS_statx, AT_FDCWD, "/proc/self", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &about)) {
		perror("statx");
		return 1;
	}
	known = about.stx_attributes_mask;
	if (!(known & STATX_ATTR_DAX) || known & STATX_ATTR_COMPRESSED)
		printf("mask %llx\n", known);
	else
		puts(known & STATX_ATTR_VERITY ? "fixed" : "broken");
	return 0;
}
