// The ladder of correlate.cc: each rung joins the pair that it is for, and is the one that says so.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/object_files.h"

namespace kpatch {
namespace {

struct Case {
  const char* name;
  const char* orig;
  const char* patched;
  std::vector<TwinReport> twins;
};

// Assembly, since only here the names are ours and not the compiler's. `f` has four bytes of code and a return.
#define FUNCTION(name, bytes)                                                 \
  ".section .text." name ",\"ax\",@progbits\n.type " name ",@function\n" name \
  ":"                                                                         \
  " .byte " bytes "\n ret\n.size " name ", .-" name "\n"
#define DATA(name) \
  ".section .data." name ",\"aw\",@progbits\n.type " name ",@object\n" name ": .long 7\n.size " name ", 4\n"

const Case cases[] = {
    {"name_as_it_is", FUNCTION("f", "1, 2"), FUNCTION("f", "1, 3"), {}},
    {"name_renumbered", FUNCTION("f.isra.6", "1, 2"), FUNCTION("f.isra.7", "1, 3"), {{"f.isra.6", "f.isra.7", "name"}}},
    {"whole_name",
     DATA("n") DATA("n.1"),
     DATA("n") DATA("n.2"),
     {{"n", "n", "whole name"}, {"n.1", "n.2", "last one left"}}},
    {"content",
     FUNCTION("f.constprop.0", "1, 2") FUNCTION("f.constprop.1", "3, 4"),
     FUNCTION("f.constprop.0", "3, 4") FUNCTION("f.constprop.1", "1, 2"),
     {{"f.constprop.0", "f.constprop.1", "content"}, {"f.constprop.1", "f.constprop.0", "content"}}},
    {"parent",
     FUNCTION("f.isra.1", "1, 2") FUNCTION("f.isra.1.cold", "5, 5") FUNCTION("f.isra.2", "3, 4")
         FUNCTION("f.isra.2.cold", "6, 6"),
     FUNCTION("f.isra.3", "3, 4") FUNCTION("f.isra.3.cold", "7, 7") FUNCTION("f.isra.4", "1, 2")
         FUNCTION("f.isra.4.cold", "8, 8"),
     {{"f.isra.1", "f.isra.4", "content"},
      {"f.isra.1.cold", "f.isra.4.cold", "parent"},
      {"f.isra.2", "f.isra.3", "content"},
      {"f.isra.2.cold", "f.isra.3.cold", "parent"}}},
    {"users",
     DATA("n.1") DATA("n.2") FUNCTION("show", "1\n .quad n.1\n .byte 1") FUNCTION("store", "1\n .quad n.2\n .byte 1"),
     DATA("n.2") DATA("n.3") FUNCTION("show", "1\n .quad n.2\n .byte 2") FUNCTION("store", "1\n .quad n.3\n .byte 3"),
     {{"n.1", "n.2", "users"}, {"n.2", "n.3", "users"}}},
    {"linkage", DATA("n"), ".globl n\n" DATA("n"), {{"n", "n", "name, though not its linkage"}}},
    // Without users nothing tells two apart.
    {"none", DATA("n.1") DATA("n.2"), DATA("n.2") DATA("n.3"), {}},
};

class EvidenceTest : public ObjectFiles, public testing::WithParamInterface<Case> {};

TEST_P(EvidenceTest, NamesTheRung) {
  DifferInput pair = input(assemble(GetParam().orig, "orig.o"), assemble(GetParam().patched, "patched.o"));
  pair.explain = true;
  std::vector<TwinReport> twins = run_differ(pair).twins;
  EXPECT_EQ(twins.size(), GetParam().twins.size());
  for (size_t i = 0; i < std::min(twins.size(), GetParam().twins.size()); ++i) {
    const TwinReport &found = twins[i], &wanted = GetParam().twins[i];
    EXPECT_EQ(found.orig + " " + found.patched + " " + found.evidence,
              wanted.orig + " " + wanted.patched + " " + wanted.evidence);
  }
}

INSTANTIATE_TEST_SUITE_P(Rungs, EvidenceTest, testing::ValuesIn(cases),
                         [](const auto& param) { return std::string{param.param.name}; });

}  // namespace
}  // namespace kpatch
