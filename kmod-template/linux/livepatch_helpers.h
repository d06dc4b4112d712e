/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For patches that were written for the kernel's own way to make livepatches:
 * the names of its include/linux/livepatch_helpers.h (since 6.19), by the
 * macros that create-diff-object reads. It is found before the kernel's, whose
 * guard it has.
 */
#ifndef _LINUX_LIVEPATCH_HELPERS_H
#define _LINUX_LIVEPATCH_HELPERS_H

#include <linux/livepatch.h>
#include <linux/syscalls.h>

#include "../kpatch-macros.h"

#ifdef MODULE
#define KLP_OBJNAME __KBUILD_MODNAME
#else
#define KLP_OBJNAME vmlinux
#endif

#define KLP_STATIC_CALL(name) KPATCH_STATIC_CALL(name)

#ifdef CONFIG_X86_64
#include "../kpatch-syscall.h"

#define KLP_SYSCALL_DEFINEx(x, name, ...) __KPATCH_SYSCALL_DEFINEx(x, name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE1(name, ...) KLP_SYSCALL_DEFINEx(1, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE2(name, ...) KLP_SYSCALL_DEFINEx(2, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE3(name, ...) KLP_SYSCALL_DEFINEx(3, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE4(name, ...) KLP_SYSCALL_DEFINEx(4, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE5(name, ...) KLP_SYSCALL_DEFINEx(5, _##name, __VA_ARGS__)
#define KLP_SYSCALL_DEFINE6(name, ...) KLP_SYSCALL_DEFINEx(6, _##name, __VA_ARGS__)
#endif

#endif /* _LINUX_LIVEPATCH_HELPERS_H */
