// Sends a frame with its tag in it through inner0, and looks at what outer0 is given: the tag beside the frame (fixed), or
// in it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	unsigned char frame[100] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x81, 0, 0, 5, 0x88, 0xb5, 'b', 'e', 'h' };
	int out = socket(AF_PACKET, SOCK_RAW, 0), in = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), on = 1, tries;
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_8021Q) };
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) }, from;
	unsigned char seen[200];
	char control[200];

	to.sll_ifindex = if_nametoindex("inner0");
	at.sll_ifindex = if_nametoindex("outer0");
	if (bind(in, (void *)&at, sizeof(at)) || setsockopt(in, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) ||
	    sendto(out, frame, sizeof(frame), 0, (void *)&to, sizeof(to)) != sizeof(frame)) {
		perror("send");
		return 1;
	}
	for (tries = 0; tries < 100; tries++) {
		struct iovec part = { seen, sizeof(seen) };
		struct msghdr message = { &from, sizeof(from), &part, 1, control, sizeof(control), 0 };
		struct pollfd ready = { in, POLLIN, 0 };
		struct tpacket_auxdata *aux = NULL;
		struct cmsghdr *entry;

		if (poll(&ready, 1, 2000) != 1 || recvmsg(in, &message, 0) < 20)
			break;
		if (memcmp(seen, frame, 12))
			continue;
		for (entry = CMSG_FIRSTHDR(&message); entry; entry = CMSG_NXTHDR(&message, entry))
			if (entry->cmsg_level == SOL_PACKET && entry->cmsg_type == PACKET_AUXDATA)
				aux = (void *)CMSG_DATA(entry);
		if (aux && aux->tp_status & TP_STATUS_VLAN_VALID && aux->tp_vlan_tci == 5 && seen[12] == 0x88)
			puts("fixed");
		else if (aux && !(aux->tp_status & TP_STATUS_VLAN_VALID) && seen[12] == 0x81)
			puts("broken");
		else
			printf("type %02x%02x\n", seen[12], seen[13]);
		return 0;
	}
	puts("nothing was seen");
	return 1;
}
