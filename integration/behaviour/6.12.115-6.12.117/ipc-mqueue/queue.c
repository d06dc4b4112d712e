// A child that shares the files asks for a notification and ends. When the queue goes, the notification's socket has to
// hear that it is removed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	char cookie[32] = "behaviour", heard[32] = {};
	struct sigevent event = { .sigev_notify = SIGEV_THREAD };
	int sock = socket(AF_NETLINK, SOCK_RAW, 0);
	int queue = syscall(SYS_mq_open, "behaviour", O_CREAT | O_RDWR, 0600, NULL);
	int status = 0;
	ssize_t length;
	pid_t child;

	if (sock < 0 || queue < 0) {
		perror("open");
		return 1;
	}
	event.sigev_signo = sock;
	event.sigev_value.sival_ptr = cookie;
	child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (child == 0)
		_exit(syscall(SYS_mq_notify, queue, &event) ? errno : 0);
	if (waitpid(child, &status, 0) != child || status) {
		printf("no notification: %s\n", strerror(WEXITSTATUS(status)));
		return 1;
	}
	syscall(SYS_mq_unlink, "behaviour");
	close(queue);
	length = recv(sock, heard, sizeof(heard), MSG_DONTWAIT);
	/* The cookie comes back with NOTIFY_REMOVED at its end. */
	if (length == 32 && !memcmp(heard, cookie, 9) && heard[31] == 2)
		puts("fixed");
	else if (length < 0 && errno == EAGAIN)
		puts("broken");
	else
		printf("heard %zd bytes\n", length);
	return 0;
}
