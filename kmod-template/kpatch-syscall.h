/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For patch authors: replace the body of an existing system call.
 *
 *	-SYSCALL_DEFINE1(umask, int, mask)
 *	+KPATCH_SYSCALL_DEFINE1(umask, int, mask)
 *	 {
 *
 * SYSCALL_DEFINE1() also registers the call for tracing and error injection;
 * that is done already, by the running kernel. What is left are the functions,
 * and they must have the names that the kernel's own macros give them, so that
 * they are found and replaced.
 */
#ifndef _KPATCH_SYSCALL_H
#define _KPATCH_SYSCALL_H

#include <linux/syscalls.h>

#define KPATCH_SYSCALL_DEFINE1(name, ...) __KPATCH_SYSCALL_DEFINEx(1, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE2(name, ...) __KPATCH_SYSCALL_DEFINEx(2, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE3(name, ...) __KPATCH_SYSCALL_DEFINEx(3, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE4(name, ...) __KPATCH_SYSCALL_DEFINEx(4, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE5(name, ...) __KPATCH_SYSCALL_DEFINEx(5, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE6(name, ...) __KPATCH_SYSCALL_DEFINEx(6, _##name, __VA_ARGS__)

#ifdef CONFIG_X86_64

/*
 * x86-64 (arch/x86/include/asm/syscall_wrapper.h): the entry code calls
 *
 *	__x64_sys_NAME(regs)	the 64-bit call
 *	__ia32_sys_NAME(regs)	the 32-bit call, with CONFIG_IA32_EMULATION
 *
 * which take the arguments out of the registers for __se_sys_NAME(). That one
 * makes the types right, and calls the body, __do_sys_NAME().
 */
#define __KPATCH_STUBx(abi, name, ...)					       \
	long __##abi##_sys##name(const struct pt_regs *regs);		       \
	long __##abi##_sys##name(const struct pt_regs *regs)		       \
	{								       \
		return __se_sys##name(__VA_ARGS__);			       \
	}

#define __KPATCH_STUB0(abi, name)					       \
	long __##abi##_sys_##name(const struct pt_regs *regs);		       \
	long __##abi##_sys_##name(const struct pt_regs *regs)		       \
		__alias(__do_sys_##name);

#ifdef CONFIG_IA32_EMULATION
#define __KPATCH_IA32_STUBx(x, name, ...) \
	__KPATCH_STUBx(ia32, name, SC_IA32_REGS_TO_ARGS(x, __VA_ARGS__))
#define __KPATCH_IA32_STUB0(name) __KPATCH_STUB0(ia32, name)
#else
#define __KPATCH_IA32_STUBx(x, name, ...)
#define __KPATCH_IA32_STUB0(name)
#endif

#define __KPATCH_SYSCALL_DEFINEx(x, name, ...)				       \
	static long __se_sys##name(__MAP(x, __SC_LONG, __VA_ARGS__));	       \
	static inline long __do_sys##name(__MAP(x, __SC_DECL, __VA_ARGS__));   \
	__KPATCH_STUBx(x64, name, SC_X86_64_REGS_TO_ARGS(x, __VA_ARGS__))      \
	__KPATCH_IA32_STUBx(x, name, __VA_ARGS__)			       \
	static long __se_sys##name(__MAP(x, __SC_LONG, __VA_ARGS__))	       \
	{								       \
		long ret = __do_sys##name(__MAP(x, __SC_CAST, __VA_ARGS__));   \
									       \
		__MAP(x, __SC_TEST, __VA_ARGS__);			       \
		__PROTECT(x, ret, __MAP(x, __SC_ARGS, __VA_ARGS__));	       \
		return ret;						       \
	}								       \
	static inline long __do_sys##name(__MAP(x, __SC_DECL, __VA_ARGS__))

#define KPATCH_SYSCALL_DEFINE0(name)					       \
	static long __do_sys_##name(const struct pt_regs *__unused);	       \
	__KPATCH_STUB0(x64, name)					       \
	__KPATCH_IA32_STUB0(name)					       \
	static long __do_sys_##name(const struct pt_regs *__unused)

#else
#error "KPATCH_SYSCALL_DEFINE: not written for this architecture yet"
#endif

#endif /* _KPATCH_SYSCALL_H */
