// Interrupts SECCOMP_IOCTL_NOTIF_ADDFD with SEND before the watched process has run again, and asks whether its call
// still waits for an answer. On one processor, by real time priorities: the supervisor before the one that interrupts it,
// and that one before the watched process.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void on_signal(int number)
{
	(void)number;
}

static void real_time(int priority)
{
	struct sched_param param = { .sched_priority = priority };

	if (sched_setscheduler(0, SCHED_FIFO, &param))
		perror("sched_setscheduler");
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, code };
	struct sigaction action = { .sa_handler = on_signal };
	struct seccomp_notif call = {};
	struct seccomp_notif_addfd add = {};
	pid_t supervisor = getpid(), watched, interrupter;
	int listener, start[2], waiting, error;
	cpu_set_t first;
	char byte = 0;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	sigaction(SIGUSR1, &action, NULL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (listener < 0 || pipe(start)) {
		perror("seccomp");
		return 1;
	}
	watched = fork();
	if (watched == 0) {
		syscall(SYS_getppid);
		_exit(0);
	}
	interrupter = fork();
	if (interrupter == 0) {
		double begin;

		real_time(30);
		if (read(start[0], &byte, 1) != 1)
			_exit(1);
		for (begin = now(); now() < begin + 0.02;)
			;
		kill(supervisor, SIGUSR1);
		_exit(0);
	}
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call)) {
		perror("receive");
		return 1;
	}
	usleep(100000); /* Until both wait. */
	real_time(50);
	add.id = call.id;
	add.flags = SECCOMP_ADDFD_FLAG_SEND;
	add.srcfd = 0;
	if (write(start[1], &byte, 1) != 1)
		return 1;
	error = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? errno : 0;
	waiting = ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id) == 0;
	if (error == EINTR)
		puts(waiting ? "fixed" : "broken");
	else
		printf("not interrupted: %s\n", strerror(error));
	kill(watched, SIGKILL);
	while (wait(NULL) > 0)
		;
	return 0;
}
