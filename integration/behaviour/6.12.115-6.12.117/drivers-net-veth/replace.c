// Gives left0 an XDP program, replaces it by one for packets in parts, and tries a large MTU at right0 each time.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* r0 = XDP_PASS; exit */
static int program(unsigned int flags)
{
	struct bpf_insn code[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS }, { .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = 2 };

	attr.insns = (unsigned long)code;
	attr.license = (unsigned long)"GPL";
	attr.prog_flags = flags;
	return bpf(BPF_PROG_LOAD, &attr);
}

static int mtu(int size)
{
	struct ifreq request = { .ifr_name = "right0" };
	int sock = socket(AF_INET, SOCK_DGRAM, 0), error;

	request.ifr_mtu = size;
	error = ioctl(sock, SIOCSIFMTU, &request) ? errno : 0;
	close(sock);
	return error;
}

int main(void)
{
	union bpf_attr attach = {}, replace = {};
	int whole = program(0), parts = program(BPF_F_XDP_HAS_FRAGS), link, before, after;

	mtu(1500);
	attach.link_create.prog_fd = whole;
	attach.link_create.target_ifindex = if_nametoindex("left0");
	attach.link_create.attach_type = BPF_XDP;
	attach.link_create.flags = XDP_FLAGS_DRV_MODE;
	link = bpf(BPF_LINK_CREATE, &attach);
	if (link < 0) {
		perror("attach");
		return 1;
	}
	before = mtu(9000);
	replace.link_update.link_fd = link;
	replace.link_update.new_prog_fd = parts;
	if (bpf(BPF_LINK_UPDATE, &replace)) {
		perror("replace");
		return 1;
	}
	after = mtu(9000);
	mtu(1500);
	if (before == EINVAL && after == 0)
		puts("fixed");
	else if (before == EINVAL && after == EINVAL)
		puts("broken");
	else
		printf("%s, %s\n", strerror(before), strerror(after));
	return 0;
}
