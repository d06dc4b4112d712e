/*
 * For the test modules of behaviour-run. A module of a test is loaded, calls the function that the fix changes with
 * what shows it, and says the outcome in its parameter `verdict`; then it is unloaded.
 *
 *     static int __init probe(void)
 *     {
 *             int (*parse)(const char *) = behaviour_function("parse_foo");
 *
 *             if (!parse)
 *                     return -ENOENT;
 *             return behaviour_verdict(parse("") == -EINVAL, parse("") == 0);
 *     }
 *     behaviour_module(probe);
 *
 * A function is called by the address that it always had: there ftrace leads to the replaced one.
 */
#include <linux/kprobes.h>
#include <linux/module.h>

static char verdict[80] = "nothing";
module_param_string(verdict, verdict, sizeof(verdict), 0444);
MODULE_PARM_DESC(verdict, "fixed, broken, or what else was seen");

/* The address of a function or of data, by its name; in a module "module:name". */
static __maybe_unused void* behaviour_symbol(const char* name) {
  static unsigned long (*lookup)(const char* name);
  struct kprobe probe = {.symbol_name = "kallsyms_lookup_name"};
  void* address;

  if (!lookup && !register_kprobe(&probe)) {
    /* A probe sits behind the endbr. */
    lookup = (void*)probe.addr;
    unregister_kprobe(&probe);
  }
  address = lookup ? (void*)lookup(name) : NULL;
  if (!address) pr_err("behaviour: there is no %s\n", name);
  return address;
}
#define behaviour_function behaviour_symbol

/* What was seen has to be one of both; a third outcome is shown as such. */
static __maybe_unused int behaviour_verdict(bool fixed, bool broken, long seen) {
  if (fixed != broken)
    strscpy(verdict, fixed ? "fixed" : "broken", sizeof(verdict));
  else
    snprintf(verdict, sizeof(verdict), "unexpected %ld", seen);
  return 0;
}

/* A function that is only watched: how often it was called, or that returns a value in its own place. */
struct behaviour_watch {
  struct kprobe probe;
  bool replace;
  unsigned long value, calls, arguments[3]; /* of the last call */
};

/* Leaves the value as it is. ftrace, which stands behind the probe, can't take the return address off the stack. */
static noinline notrace void behaviour_return(void) { barrier(); }

static __maybe_unused int behaviour_called(struct kprobe* probe, struct pt_regs* regs) {
  struct behaviour_watch* watch = container_of(probe, struct behaviour_watch, probe);

  watch->calls++;
  watch->arguments[0] = regs->di;
  watch->arguments[1] = regs->si;
  watch->arguments[2] = regs->dx;
  if (!watch->replace) return 0;
  regs->ax = watch->value;
  regs->ip = (unsigned long)behaviour_return;
  return 1;
}

/* Watches a function until unregister_kprobe(&watch->probe); it must not be one that the livepatch replaces. */
static __maybe_unused int behaviour_watch(struct behaviour_watch* watch, const char* name) {
  watch->probe.symbol_name = name;
  watch->probe.pre_handler = behaviour_called;
  return register_kprobe(&watch->probe);
}

#define behaviour_module(probe)              \
  static void __exit behaviour_exit(void) {} \
  module_init(probe);                        \
  module_exit(behaviour_exit);               \
  MODULE_LICENSE("GPL");                     \
  MODULE_DESCRIPTION("behaviour of a fix")
