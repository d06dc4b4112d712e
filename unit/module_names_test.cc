// What modules are called.
#include "lookup/module-names.h"

#include <gtest/gtest.h>

namespace kpatch {
namespace {

TEST(ModuleNames, AreThoseOfTheRunningKernel) {
  EXPECT_EQ(module_name_of("net/netfilter/xt-comment.ko.xz"), "xt_comment");
  EXPECT_EQ(module_name_of("net/netfilter/xt_comment"), "xt_comment");
  EXPECT_EQ(module_name_of("drivers/usb/host/xhci-hcd.ko"), "xhci_hcd");
  EXPECT_EQ(module_name_of("a-b/c,d-e.ko.gz"), "c_d_e");
  EXPECT_EQ(module_name_of("/lib/modules/6.12/kernel/x.ko.zst"), "x");
}

TEST(ModuleNames, NothingElseIsCutOff) {
  EXPECT_EQ(module_name_of("snd-soc-wm8960.kostas"), "snd_soc_wm8960.kostas");
  EXPECT_EQ(module_name_of("x.o"), "x.o");
  EXPECT_EQ(module_name_of(""), "");
}

TEST(ModuleNames, OnlyFilesOfModulesHaveAPath) {
  EXPECT_EQ(module_path_of("net/netfilter/xt-comment.ko.xz"), "net/netfilter/xt-comment");
  EXPECT_EQ(module_path_of("x.ko"), "x");
  for (const char* other : {"modules.dep", "x.ko.debug", "x.o", "ko", "x.ko/y", ""})
    EXPECT_EQ(module_path_of(other), std::nullopt) << other;
}

}  // namespace
}  // namespace kpatch
