// Is a multicast router on router0, loads the module, which asks for a route, and looks at what it is told then.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/mroute.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	int sock = socket(AF_INET, SOCK_RAW, IPPROTO_IGMP), on = 1, i, dirty = 0, number;
	struct vifctl vif = { .vifc_flags = VIFF_USE_IFINDEX, .vifc_threshold = 1 };
	unsigned char told[200] = {};
	int module = open("behaviour_net_ipv4_ipmr.ko", O_RDONLY);
	ssize_t length;

	vif.vifc_lcl_ifindex = if_nametoindex("router0");
	if (setsockopt(sock, IPPROTO_IP, MRT_INIT, &on, sizeof(on)) ||
	    setsockopt(sock, IPPROTO_IP, MRT_ADD_VIF, &vif, sizeof(vif))) {
		perror("router");
		return 1;
	}
	number = syscall(SYS_finit_module, module, "", 0);
	if (number) {
		perror("module");
		return 1;
	}
	length = recv(sock, told, sizeof(told), MSG_DONTWAIT);
	syscall(SYS_delete_module, "behaviour_net_ipv4_ipmr", 0);
	if (length < 20 || told[8] != IGMPMSG_NOCACHE) {
		printf("%zd bytes, type %d\n", length, told[8]);
		return 1;
	}
	/* Behind the length: identification and fragment. What was in memory is 0xaa there. */
	for (i = 4; i < 8; i++)
		dirty += told[i] == 0xaa;
	puts(dirty == 4 ? "broken" : dirty == 0 && !(told[4] | told[5] | told[6] | told[7]) ? "fixed" : "mixed");
	return 0;
}
