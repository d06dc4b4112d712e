// Says as a reader of upper0 what it takes; the module, which is given the file, looks at what the device knows of it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

int main(int argc, char **argv)
{
	int tap = open(argv[argc - 1], O_RDWR), module = open("behaviour_drivers_net_tap.ko", O_RDONLY);
	char parameter[20];

	sprintf(parameter, "reader=%d", tap);
	if (tap < 0 || ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6) ||
	    syscall(SYS_finit_module, module, parameter, 0)) {
		perror(argv[argc - 1]);
		return 1;
	}
	return 0;
}
