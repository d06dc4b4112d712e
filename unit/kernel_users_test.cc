// Functions that nothing in an image refers to, of images that are assembled and linked here.
#include "lookup/kernel-users.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "support/error.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

using Names = std::set<std::string>;

constexpr const char* kernel = R"(
        .macro helper name
        .globl rust_helper_\name
        .type rust_helper_\name, @function
rust_helper_\name: ret
        .endm
        .text
        .irp name, called, jumped, loaded, immediate, stored, pointed, exported, bug, unused, alias
        helper \name
        .endr
        .globl rust_helper_other_name
        .set rust_helper_other_name, rust_helper_alias
        .type rust_helper_other_name, @function
        .type rust_helper_local, @function
rust_helper_local: ret
        .globl other
        .type other, @function
other:  call rust_helper_called
        lea rust_helper_loaded(%rip), %rax
        mov $rust_helper_immediate, %rax
        .section .init.text, "ax"
        nop
        jne rust_helper_jumped
        .data
        .long 0
        .quad rust_helper_stored
        .long rust_helper_pointed - .
        .section .rodata, "a"
kallsyms_offsets:
        .long rust_helper_unused - ., rust_helper_exported - .
kallsyms_num_syms:
        .long 2
        .section __ksymtab, "a"
        .long rust_helper_exported - .
        .section __bug_table, "a"
        .long rust_helper_bug - .
)";

TEST(KernelUsers, WhatNothingRefersTo) {
  const TemporaryFolder folder;
  folder.write("kernel.s", kernel);
  const std::string at = folder.path().string() + "/";
  const std::string line = "as -o " + at + "kernel.o " + at + "kernel.s && ld -e other -Ttext=0x1000000 -o " + at +
                           "vmlinux " + at + "kernel.o";
  ASSERT_EQ(std::system(line.c_str()), 0) << line;
  EXPECT_EQ(functions_nobody_uses(at + "vmlinux", "rust_helper_"),
            (Names{"rust_helper_alias", "rust_helper_bug", "rust_helper_exported", "rust_helper_other_name",
                   "rust_helper_unused"}));
  EXPECT_EQ(functions_nobody_uses(at + "vmlinux", "no_such_"), Names());
  EXPECT_EQ(functions_nobody_uses(at + "kernel.o", "rust_helper_"), Names());
  EXPECT_THROW(functions_nobody_uses(at + "none", "rust_helper_"), Error);
  EXPECT_THROW(functions_nobody_uses(at + "kernel.s", "rust_helper_"), Error);
}

}  // namespace
}  // namespace kpatch
