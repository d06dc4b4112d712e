/* What a kernel's objects hold besides functions and data: entries of the tables that its own code walks, written as
   the kernel's headers write them, and instructions that not every program has. AFTER is the patched side of a pair;
   with REFUSED, too, it changes what can't be patched. */
#define section(s) __attribute__((section(s)))
#ifdef AFTER
#define VALUE 4
#else
#define VALUE 3
#endif
#define used __attribute__((used))

struct list { struct list *next, *prev; };
struct inode;
struct state {
	unsigned int flags : 3, mode : 5;
	union {
		struct list links;
		void (*call)(struct inode *, int);
	};
	char name[8 + VALUE];
	enum { first, second = VALUE } which;
	struct { short in, out; } inner[2];
};
typedef struct { long counter; } counter_t;

extern struct state states[4];
extern int printk(const char *fmt, ...);

/* DEFINE_PER_CPU, this_cpu_inc */
section(".data..percpu") counter_t calls;
#ifdef REFUSED
section(".data..percpu..read_mostly") int cpu_number = VALUE;
#else
section(".data..percpu..read_mostly") int cpu_number = 3;
#endif
section(".data..read_mostly") int limit = 7;
section(".data..ro_after_init") struct state *current_state = &states[1];

/* module_param, late_initcall, EXPORT_SYMBOL, MODULE_LICENSE, __setup */
struct param { const char *name; void *mod, *ops; short perm; signed char level; unsigned char flags; int *arg; };
static const char limit_name[] = "limit";
used section("__param") static const struct param limit_param = { limit_name, 0, 0, 0644, -1, 0, &limit };
used section(".modinfo") static const char license[] = "license=GPL";

int exported_state(struct state *state, counter_t *count)
{
	count->counter += state->which;
	return state->inner[1].out + VALUE;
}
asm(".section \"___ksymtab_gpl+exported_state\", \"a\"\n__ksymtab_exported_state: .long exported_state - .\n"
    ".long 0\n.long 0\n.previous\n");

section(".init.text") static int start(void)
{
	return printk("start %d\n", limit);
}
typedef int (*initcall_t)(void);
used section(".initcall7.init") static initcall_t call_start = start;
#ifdef REFUSED
used section(".initcall6.init") static initcall_t call_more = start;
#endif

/* a number of 64 bits in an instruction (hash_64) */
unsigned long hash(unsigned long x)
{
	return x * (0x123456789abcdef1UL + VALUE);
}

/* extable: copy_from_user and the like */
int fault(int *from)
{
	int value = VALUE;

#ifdef __x86_64__
	asm volatile("1: movl %1, %0\n2:\n.pushsection __ex_table, \"a\"\n.balign 4\n.long 1b - ., 2b - .\n.long 3\n"
		     ".popsection" : "+r"(value) : "m"(*from));
#else
	value = *(volatile int *)from;
#endif
	return value;
}

#ifdef __x86_64__
/* alternative_call, static_call, static_branch_likely, __fentry__ comes with -pg */
int machine(int x)
{
	asm volatile("661: .byte 0x0f, 0x1f, 0x00\n662:\n.pushsection .altinstructions, \"a\"\n.long 661b - ., 663f - .\n"
		     ".long 3 * 32 + 7\n.byte 662b - 661b, 664f - 663f\n.popsection\n"
		     ".pushsection .altinstr_replacement, \"ax\"\n663: .byte 0x0f, 0x01, 0xcb\n664:\n.popsection");
	asm volatile("call __SCT__tick" : : : "memory", "rax", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11");
	asm volatile("incq %%gs:%0" : "+m"(calls.counter));
	asm volatile("lock; addl $1, %0\n.pushsection .smp_locks, \"a\"\n.balign 4\n.long 1f - .\n1:\n.popsection"
		     : "+m"(limit));
	asm goto("1: .byte 0x0f, 0x1f, 0x44, 0, 0\n.pushsection __jump_table, \"aw\"\n.balign 8\n"
		 ".long 1b - ., %l[on] - .\n.quad key - .\n.popsection" : : : : on);
	return x;
on:
	return x + VALUE;
}
extern struct { long enabled; } key;
#endif

/* tracepoint strings, DO_ONCE, WARN_ONCE, dynamic debug */
void say(int x)
{
	section(".data.once") static char warned;
	section(".data.once") static char ___done;
	static const char *text section("__tracepoint_str") used = "a text";
	static struct { const char *file, *format; unsigned line; } descriptor section("__dyndbg") used = {
		"file.c", "said %d", __LINE__ };

	if (!warned) {
		warned = 1;
		printk("said %d, %s", x + VALUE, text);
	}
	if (!___done)
		___done = printk(descriptor.format, x);
}
