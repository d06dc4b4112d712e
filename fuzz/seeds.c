/* What the fuzz targets' first inputs are compiled from; AFTER is the patched side of a pair. */
#ifndef TRAP
#define TRAP ".byte 0x0f, 0x0b"
#endif
#define section(s) __attribute__((section(s)))
#ifdef AFTER
#define VALUE 4
#else
#define VALUE 3
#endif

extern int printk(const char *fmt, ...);
extern int exported(int x);

static const char *const names[] = { "one", "two", "three" };
static int (*const operations[])(int) = { exported };
int new_or_old = 1;

__attribute__((noinline)) static int helper(int x)
{
	static int count;

	asm volatile("1: " TRAP "\n"
		     ".pushsection __bug_table, \"aw\"\n2: .long 1b - .\n.long 3f - .\n.short 7, 0x901\n.org 2b + 12\n"
		     ".popsection\n.pushsection .rodata.bug, \"aMS\", %progbits, 1\n3: .asciz \"file.c\"\n.popsection");
	return x + ++count;
}

int show(int x)
{
	static int __key section(".data.once");

	if (!__key)
		__key = printk("show %s %d\n", names[x & 1], VALUE);
	asm goto("1: .pushsection __jump_table, \"aw\"\n.balign 8\n.long 1b - ., %l[off] - .\n.quad 0\n.popsection"
		 : : : : off);
	return operations[0](helper(x));
off:
	return 0;
}

#ifdef AFTER
int added(int x)
{
	return helper(x) + new_or_old;
}
#endif

int choose(int x)
{
	switch (x) {
	case 0: return exported(7);
	case 1: return exported(2) + VALUE;
	case 2: return helper(x);
	case 3: return printk("three");
	case 4: return x + new_or_old;
	default: return 0;
	}
}

section(".init.text") int begin(void)
{
	return helper(1);
}
