/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lets a patched module go and come back while the livepatch stays.
 *
 *	modprobe xt_comment	the core writes the addresses of the module's
 *				symbols into our code (.klp.rela.xt_comment.*)
 *	rmmod xt_comment
 *	modprobe xt_comment	the core wants to write them again
 *
 * On x86 the kernel writes a relocation only where it finds zero. Since 6.3 it
 * puts the zeros back when the module goes (clear_relocate_add); before, the
 * second modprobe fails with "Skipping invalid relocation target". So we do it,
 * at the same moment: behind the object's post-unpatch callback, which itself
 * may be code with such relocations. The builder asks for it with
 * KPATCH_CLEAR_RELOCATIONS where vmlinux needs it.
 *
 * Why nobody runs the code that is cleared: it is called by code of the module
 * alone, or redirected from there by ftrace, and the module is not live. While
 * it is live nothing is cleared, also when the patch is disabled: a disabled
 * patch is never enabled again, and after a forced transition a task may still
 * be in its functions.
 *
 * text_poke_copy() writes to read-only text and takes text_mutex, inside of
 * klp_mutex as the core's own writing does. Before 5.17 there is text_poke(),
 * whose callers take text_mutex: the core does just that there. The builder
 * says which one vmlinux has. The next apply_relocate_add() on these bytes
 * brings all processors in line before anybody runs them.
 */
#ifndef _KPATCH_CLEAR_H
#define _KPATCH_CLEAR_H

#include <linux/elf.h>
#include <linux/memory.h>
#include <asm/text-patching.h>

/*
 * What the kernel has for that isn't exported. An entry in the side table
 * without a place makes klp relocations of all references to a symbol
 * (doc/formats.md).
 */
#define KPATCH_NOT_EXPORTED(name)					\
	asm(".pushsection .kpatch.strings, \"a\", @progbits\n"		\
	    "771: .asciz \"vmlinux\"\n"				\
	    "772: .asciz \"" name "\"\n"				\
	    ".popsection\n"						\
	    ".pushsection .comment.kpatch.relocs, \"\", @progbits\n"	\
	    ".balign 8\n"						\
	    ".quad 0, " name ", 771b, 771b, 772b, 0\n"			\
	    ".popsection\n")

#ifdef KPATCH_CLEAR_BY_text_poke_copy
KPATCH_NOT_EXPORTED("text_poke_copy");
static void write_text(void *to, const void *from, size_t size)
{
	text_poke_copy(to, from, size);
}
#else
KPATCH_NOT_EXPORTED("text_poke");
KPATCH_NOT_EXPORTED("text_mutex");
static void write_text(void *to, const void *from, size_t size)
{
	mutex_lock(&text_mutex);
	text_poke(to, from, size);
	mutex_unlock(&text_mutex);
}
#endif

struct kpatch_module_callbacks {
	int (*pre_patch)(struct klp_object *obj);
	void (*post_unpatch)(struct klp_object *obj);
};
static struct kpatch_module_callbacks *own_callbacks;	/* by object */

static size_t relocated_bytes(unsigned int type)
{
	switch (type) {
	case R_X86_64_NONE:
		return 0;
	case R_X86_64_64:
	case R_X86_64_PC64:
		return 8;
	default:	/* no other size passes the builder */
		return 4;
	}
}

static void clear_section(const struct klp_modinfo *info, const Elf_Shdr *sec)
{
	static const char zeros[8];
	char *target = (char *)info->sechdrs[sec->sh_info].sh_addr;
	const Elf_Rela *rela = (const Elf_Rela *)sec->sh_addr;
	const Elf_Rela *end = rela + sec->sh_size / sizeof(*rela);

	for (; rela < end; rela++) {
		size_t size = relocated_bytes(ELF64_R_TYPE(rela->r_info));

		if (size)
			write_text(target + rela->r_offset, zeros, size);
	}
}

static void clear_relocations(const struct klp_object *obj)
{
	static const char prefix[] = ".klp.rela.";
	const struct klp_modinfo *info = THIS_MODULE->klp_info;
	size_t length = strlen(obj->name);
	unsigned int i;

	if (!obj->mod || obj->mod->state == MODULE_STATE_LIVE)
		return;
	for (i = 1; i < info->hdr.e_shnum; i++) {
		const Elf_Shdr *sec = info->sechdrs + i;
		const char *name = info->secstrings + sec->sh_name;

		if (!(sec->sh_flags & SHF_RELA_LIVEPATCH) ||
		    strncmp(name, prefix, sizeof(prefix) - 1))
			continue;
		name += sizeof(prefix) - 1;
		if (!strncmp(name, obj->name, length) && name[length] == '.')
			clear_section(info, sec);
	}
}

/* When this refuses the module, the core calls nothing else for it. */
static int pre_patch_or_clear(struct klp_object *obj)
{
	const struct kpatch_module_callbacks *own =
		own_callbacks + (obj - patch.objs);
	int err = own->pre_patch ? own->pre_patch(obj) : 0;

	if (err)
		clear_relocations(obj);
	return err;
}

static void post_unpatch_and_clear(struct klp_object *obj)
{
	const struct kpatch_module_callbacks *own =
		own_callbacks + (obj - patch.objs);

	if (own->post_unpatch)
		own->post_unpatch(obj);
	clear_relocations(obj);
}

/* entries: how many objects the patch has at most */
static int clear_with_callbacks(size_t entries)
{
	struct klp_object *obj;

	own_callbacks = kcalloc(entries, sizeof(*own_callbacks), GFP_KERNEL);
	if (!own_callbacks)
		return -ENOMEM;
	for (obj = patch.objs; obj->funcs; obj++) {
		struct kpatch_module_callbacks *own =
			own_callbacks + (obj - patch.objs);

		if (!obj->name)
			continue;
		own->pre_patch = obj->callbacks.pre_patch;
		own->post_unpatch = obj->callbacks.post_unpatch;
		obj->callbacks.pre_patch = pre_patch_or_clear;
		obj->callbacks.post_unpatch = post_unpatch_and_clear;
	}
	return 0;
}

static void free_callbacks(void)
{
	kfree(own_callbacks);
}

#endif /* _KPATCH_CLEAR_H */
