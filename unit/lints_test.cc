// Warnings about what would load: writes to memory that is read-only by then, and what outlives the livepatch.

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "unit/object_files.h"

namespace kpatch {
namespace {

constexpr const char* prelude = R"(
#define sealed __attribute__((section(".data..ro_after_init")))
#define init __attribute__((section(".init.text"), noinline, used))
)";

class SealedWrites : public ObjectFiles {
 protected:
  // The functions and messages of the warnings: "f: writes to …".
  Facts warnings(const std::string& before, const std::string& after) {
    compile(prelude + before, "orig.o", traced);
    compile(prelude + after, "patched.o", traced);
    DifferInput pair = input(path("orig.o"), path("patched.o"));
    if (!others_.empty()) {
      toolchains().front().compile(folder_.path(), prelude + others_, "b.o", "", "b.c");
      toolchains().front().link_relocatable(folder_.path(), "parent.o", "b.o orig.o");
      pair.parent_symtab = path("parent.o");
    }
    Facts list;
    for (const Finding& f : run_differ(pair).findings)
      if (f.rule == "ro-after-init") {
        EXPECT_EQ(f.severity, Severity::warning);
        list.push_back(name_of(f.location) + ": " + f.message.substr(0, f.message.find(", so that")));
      }
    return list;
  }

  static Facts warned(const std::string& where, const std::string& variable, const std::string& owner) {
    return {where + ": writes to " + variable + ", which is __ro_after_init: read-only since the init of " + owner +
            " is over"};
  }

  static constexpr const char* traced = "-fno-pie -pg -mfentry -mrecord-mcount -mcmodel=kernel";
  std::string others_;
};

TEST_F(SealedWrites, AreWarnedOf) {
  const std::string v = "int limit sealed = 1; int list[8] sealed = {1}; ";
  const std::string before = v + "int f(int x) { return x + limit + list[x]; }";
  for (const std::string write : {"limit = x;", "limit = 5;", "limit++;", "limit |= 4;", "list[x] = 1;",
                                  "__atomic_fetch_add(&limit, x, __ATOMIC_RELAXED);"}) {
    const std::string variable = write.find("list") == std::string::npos ? "limit" : "list";
    EXPECT_EQ(warnings(before, v + "int f(int x) { " + write + " return x + limit + list[x]; }"),
              warned("f", variable, "the module"))
        << write;
  }
}

TEST_F(SealedWrites, OfNewFunctionsToo) {
  const std::string before = "static int limit sealed = 1; int f(int x) { return x + limit; } ";
  EXPECT_EQ(warnings(before,
                     "static int limit sealed = 1; static __attribute__((noinline)) void set(int x) "
                     "{ limit = x; } int f(int x) { set(x); return x + limit; }"),
            warned("set", "limit", "the module"));
}

TEST_F(SealedWrites, AreNoneOfReadersAndOfThoseWhoTakeTheAddress) {
  const std::string v = "int limit sealed = 1; int other = 1; void keep(int *); ";
  const std::string before = v + "int f(int x) { return x; }";
  EXPECT_EQ(warnings(before, v + "int f(int x) { other = limit; return limit > 4 ? x : 0; }"), Facts{});
  EXPECT_EQ(warnings(before, v + "int f(int x) { keep(&limit); return x; }"), Facts{});
}

TEST_F(SealedWrites, OfTheOriginalAreNone) {
  const std::string v = "int limit sealed = 1; ";
  EXPECT_EQ(warnings(v + "int f(int x) { limit = x; return x; }", v + "int f(int x) { limit = x; return x + 1; }"),
            Facts{});
  // Code that the kernel ran at its start doesn't count.
  const std::string starter = v + "init void start(int x) { limit = x; } ";
  EXPECT_EQ(warnings(starter + "int f(int x) { return x; }", starter + "int f(int x) { limit = x; return x; }"),
            warned("f", "limit", "the module"));
}

TEST_F(SealedWrites, OfAnotherFilesVariables) {
  others_ = "int limit sealed = 1; int plain = 1;";
  const std::string before = "extern int limit, plain; int f(int x) { return x + limit; }";
  EXPECT_EQ(warnings(before, "extern int limit, plain; int f(int x) { limit = x; plain = x; return x; }"),
            warned("f", "limit", "the module"));
}

TEST_F(SealedWrites, OfTheLivepatchsOwnVariables) {
  EXPECT_EQ(warnings("int f(int x) { return x; }",
                     "static volatile int limit sealed = 1; int f(int x) { limit = x; return x; }"),
            warned("f", "limit", "the livepatch"));
}

// New data that leads to functions, and outlives the livepatch in whatever keeps its address.
class HandedOutData : public ObjectFiles {
 protected:
  Facts warned(const std::string& after) {
    constexpr const char* flags = "-fno-pie -mcmodel=kernel";
    const std::string kernel =
        "static __attribute__((noinline, used)) int g(int x) { return x; } "
        "static __attribute__((noinline, used)) int h(int x) { return x + 1; } void keep(const void *); struct ops { "
        "int (*open)(int); }; ";
    compile(kernel + "int f(int x) { return x; }", "orig.o", flags);
    compile(kernel + after, "patched.o", flags);
    Facts list;
    for (const Finding& f : run_differ(input(path("orig.o"), path("patched.o"))).findings)
      if (f.rule == "handed-out") list.push_back(name_of(f.location));
    return list;
  }
};

TEST_F(HandedOutData, IsWarnedOf) {
  EXPECT_EQ(warned("static const struct ops fresh = {g}; int f(int x) { keep(&fresh); return x; }"), Facts{"fresh"});
  EXPECT_EQ(warned("static struct { struct ops *next; int (*run)(int); } timer = {0, g}; int f(int x) { keep(&timer); "
                   "return x; }"),
            Facts{"timer"});
}

TEST_F(HandedOutData, IsNoneWhereItIsReadInPlaceOrLeadsToNoFunction) {
  EXPECT_EQ(warned("static int (*const table[2])(int) = {g, h}; int f(int x) { return table[x & 1](x); }"), Facts{});
  EXPECT_EQ(warned("static const struct { int a; const char *b; } fresh = {1, \"x\"}; int f(int x) { keep(&fresh); "
                   "return x; }"),
            Facts{});
}

// What is linked somewhere, or named by a string, outlives the livepatch there.
class HandedOut : public ObjectFiles {
 protected:
  Facts warnings(const std::string& before, const std::string& after) {
    compile(types + before, "orig.o", "-g -fno-pie -pg -mfentry -mrecord-mcount -mcmodel=kernel");
    compile(types + after, "patched.o", "-g -fno-pie -pg -mfentry -mrecord-mcount -mcmodel=kernel");
    Facts list;
    for (const Finding& f : run_differ(input(path("orig.o"), path("patched.o"))).findings)
      if (f.rule == "handed-out") list.push_back(name_of(f.location) + ": " + f.message);
    return list;
  }

  const std::string types =
      "struct list_head { struct list_head *next, *prev; }; struct work_struct { long data; struct list_head entry; "
      "void (*func)(void *); }; struct mutex { long owner; struct list_head wait_list; }; "
      "struct watch { int x; struct list_head list; }; struct table { struct mutex lock; int x; }; "
      "extern void put(void *), old_fn(void *), print(const char *), __request_region(long, const char *); ";
  const std::string before = "int f(int x) { return x; }";
};

TEST_F(HandedOut, VariablesThatAreLinked) {
  const auto linked = [](const std::string& name, const std::string& link) {
    return Facts{name +
                 ": is new in the livepatch, and f takes its address: what it is linked to (it is, or has, a struct " +
                 link + ") would lead to freed memory once the livepatch is unloaded"};
  };
  EXPECT_EQ(
      warnings(before, "static struct work_struct work; int f(int x) { work.func = old_fn; put(&work); return x; }"),
      linked("work", "work_struct"));
  EXPECT_EQ(warnings(before, "static struct watch watch; int f(int x) { put(&watch.list); return x + watch.x; }"),
            linked("watch", "list_head"));
  EXPECT_EQ(warnings(before, "int f(int x) { static struct watch seen[4]; put(&seen[1].list); return x + seen[2].x; }")
                .front()
                .substr(0, 12),
            linked("seen", "list_head").front().substr(0, 4) + ".0: is n");
}

TEST_F(HandedOut, WhatIsLinkedNowhere) {
  // In a lock's list somebody is while he waits.
  EXPECT_EQ(warnings(before, "static struct mutex lock; int f(int x) { put(&lock); return x; }"), Facts{});
  EXPECT_EQ(warnings(before, "static struct table table; int f(int x) { put(&table.lock); return x + table.x; }"),
            Facts{});
  EXPECT_EQ(warnings(before, "static long count[4]; int f(int x) { put(count); return x; }"), Facts{});
  // Its address goes nowhere.
  EXPECT_EQ(warnings(before, "static struct watch watch; int f(int x) { watch.x += x; return watch.x; }"), Facts{});
  // The kernel's own.
  EXPECT_EQ(warnings("static struct watch watch; int f(int x) { put(&watch.list); return x + watch.x; }",
                     "static struct watch watch; int f(int x) { put(&watch.list); return x - watch.x; }"),
            Facts{});
}

TEST_F(HandedOut, NamesThatTheCalleeKeeps) {
  EXPECT_EQ(warnings(before, "int f(int x) { __request_region(x, \"fix\"); return x; }"),
            Facts{"f: gives the livepatch's string \"fix\" to __request_region, which keeps it: who reads it there "
                  "(/proc/interrupts, /proc/iomem) would read freed memory once the livepatch is unloaded"});
  EXPECT_EQ(warnings(before, "int f(int x) { print(\"fix\"); __request_region(x, 0); return x; }"), Facts{});
}

}  // namespace
}  // namespace kpatch
