// klpmake's files: what people write in them, and what is wrong with it.
#include <gtest/gtest.h>

#include <string>

#include "from-source/bindings.h"
#include "from-source/syms.h"
#include "from-source/workshop.h"
#include "klpmake/conf.h"
#include "support/error.h"

namespace kpatch {
namespace {

using std::string;

string error_of(const string& text) {
  try {
    parse_conf(text, "klpsrc.conf");
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(KlpsrcConf, ReadsBothDialects) {
  const Conf conf = parse_conf(
      "# by hand\nsrc-root /usr/src/linux\ndev-root /usr/src/headers\ndebug-root /usr/lib/debug\n"
      "module-name vmlinux\n  src-name fs/proc/meminfo.c\n    func-name f\n    new-item x\nmodule-name netlink_diag\n"
      "src-name net/netlink/diag.c\nfunc-name g\n",
      "klpsrc.conf");
  ASSERT_EQ(conf.sources.size(), 2u);
  EXPECT_EQ(conf.headers, "/usr/src/headers");
  EXPECT_EQ(conf.sources[0].new_items.at(0), "x");
  EXPECT_EQ(conf.sources[1].module, "netlink_diag");
  EXPECT_EQ(parse_conf("obj-m uname\n" + format_conf(conf), "_klpsrc.conf").name, "uname");
}

TEST(KlpsrcConf, NamesTheLineOfAllThatIsWrong) {
  EXPECT_EQ(error_of("module-name vmlinux\nsrc-name a.c\nfunc-name\nfunk x\nfunc-name a-b\n"),
            "klpsrc.conf:3: func-name has no value\nklpsrc.conf:4: unknown key 'funk'\n"
            "klpsrc.conf:5: func-name a-b: this is no name in C\nklpsrc.conf:2: src-name a.c has no func-name");
  EXPECT_EQ(error_of("src-name a.c\n"), "klpsrc.conf:1: src-name a.c stands before any module-name");
  EXPECT_NE(error_of("module-name m\nsrc-name ../a.c\nfunc-name f\n"), "");
  EXPECT_NE(error_of("module-name m\nsrc-name a.h\nfunc-name f\n"), "");
  EXPECT_NE(error_of(""), "");
}

TEST(KlpmakeSyms, ReadsWhatItWrites) {
  const auto symbols = parse_syms("show 2 vmlinux show.klp.slub\nuts_sem 0\n", "_klpmake.syms");
  ASSERT_EQ(symbols.size(), 2u);
  EXPECT_EQ(symbols[1].owner, "vmlinux");
  EXPECT_EQ(symbols[1].placeholder, "uts_sem");
  EXPECT_EQ(format_syms(symbols), "show 2 vmlinux show.klp.slub\nuts_sem 0 vmlinux\n");
  EXPECT_THROW(parse_syms("a x vmlinux\n", "s"), Error);
  EXPECT_THROW(parse_syms("a\n", "s"), Error);
  try {
    parse_syms("a 0\na 1\n", "s");
    FAIL();
  } catch (const ExitError& error) {
    EXPECT_EQ(error.code, 7);
    EXPECT_STREQ(error.what(), "s:2: a is there twice: a name in the source has one meaning");
  }
}

TEST(KlpmakeBindings, ANameHasOneMeaning) {
  Bindings bindings({"taken"});
  EXPECT_EQ(bindings.bind({.name = "show", .position = 1}, "vmlinux", "a"), "show");
  EXPECT_EQ(bindings.bind({.name = "show", .position = 1}, "vmlinux", "b"), "show");
  EXPECT_EQ(bindings.bind({.name = "show", .position = 2}, "vmlinux", "b"), "show.klp.b");
  EXPECT_EQ(bindings.bind({.name = "taken"}, "vmlinux", "a"), "taken.klp.a");
  EXPECT_EQ(bindings.bind({.name = "x", .owner = "m"}, "m", "a"), "x");
  EXPECT_EQ(bindings.bind({.name = "x", .owner = "m"}, "n", "b"), "x.klp.b");
  EXPECT_FALSE(bindings.shares("taken"));
  EXPECT_TRUE(Bindings({"taken"}, {"taken"}).shares("taken"));
}

}  // namespace
}  // namespace kpatch
