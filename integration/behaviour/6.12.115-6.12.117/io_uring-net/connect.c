// Connects through io_uring, from a socket with O_NONBLOCK, to a listener whose queue is full: -EAGAIN in the end.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0behaviour" };
	struct io_uring_params params = {};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), first = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int second = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), ring;
	struct io_uring_sqe *entry;
	struct io_uring_cqe *done;
	char *submit, *complete;

	if (bind(listener, (void *)&address, sizeof(address)) || listen(listener, 0) ||
	    connect(first, (void *)&address, sizeof(address))) {
		perror("listener");
		return 1;
	}
	ring = syscall(SYS_io_uring_setup, 1, &params);
	submit = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	complete = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	entry = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (ring < 0 || submit == MAP_FAILED || complete == MAP_FAILED || entry == MAP_FAILED) {
		perror("ring");
		return 1;
	}
	entry->opcode = IORING_OP_CONNECT;
	entry->fd = second;
	entry->addr = (unsigned long)&address;
	entry->off = sizeof(address);
	*(unsigned int *)(submit + params.sq_off.array) = 0;
	__atomic_store_n((unsigned int *)(submit + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) {
		perror("enter");
		return 1;
	}
	done = (void *)(complete + params.cq_off.cqes);
	if (done->res != -EAGAIN) {
		printf("connected: %d\n", done->res);
		return 1;
	}
	return 0;
}
