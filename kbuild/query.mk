# SPDX-License-Identifier: GPL-2.0-only
#
# Asks kbuild how it would compile a folder, without compiling anything. Run in a prepared O= folder:
#
#   sub_make_done=1 abs_srctree=SOURCE abs_objtree=$PWD make -rR --include-dir=SOURCE -f query.mk \
#       KQ_DIR=fs/proc KQ_OUT=FILE kq
#
# The kernel's own Makefile sets every flag up, and Makefile.build prints (-n) what it would run for the folder's
# objects, all of them (-B: also what is already built). KQ_DIR=. is the whole kernel: one tree since Linux 6.1
# (build-dir), a list of folders before (build-dirs).
#
# A folder that make can't list to its end (-k goes on: a host program isn't there) is no error here, a make that was killed
# is: commands.cc judges by what make says. The last line of KQ_OUT is `kq-end`.
include $(abs_srctree)/Makefile

KQ_DIRS := $(if $(filter .,$(KQ_DIR)),$(or $(build-dir),$(build-dirs),$(vmlinux-dirs)),$(KQ_DIR))

# Architectures whose stack protector looks for its canary in the task (arm64, powerpc, riscv) add the option for that while
# they prepare, since its place is in a header that is made there. The header is here; `-o prepare0` makes nothing anew.
PHONY += stack_protector_prepare
stack_protector_prepare:
$(addprefix kq/,$(KQ_DIRS)) $(addprefix kq-build/,$(KQ_DIRS)) kq-file: stack_protector_prepare

PHONY += kq $(addprefix kq/,$(KQ_DIRS))
kq: $(addprefix kq/,$(KQ_DIRS))
	@echo kq-end >> $(KQ_OUT)

$(addprefix kq/,$(KQ_DIRS)): kq/%:
	@$(MAKE) -n -k -B -f $(srctree)/scripts/Makefile.build obj=$* need-builtin=1 need-modorder=1 >> $(KQ_OUT) || test $$? -eq 2

# The same objects, compiled: kbuild's own rule for a folder, stopping before vmlinux is linked.
PHONY += kq-build $(addprefix kq-build/,$(KQ_DIRS))
kq-build: $(addprefix kq-build/,$(KQ_DIRS)) ;

$(addprefix kq-build/,$(KQ_DIRS)): kq-build/%:
	$(Q)$(MAKE) -f $(srctree)/scripts/Makefile.build obj=$* need-builtin=1 need-modorder=1

# One file that a folder's Makefile generates for its own objects.
PHONY += kq-file
kq-file:
	$(Q)$(MAKE) -f $(srctree)/scripts/Makefile.build obj=$(KQ_DIR) $(KQ_FILE)
