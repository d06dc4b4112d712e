// Files that end too early: whatever the length, the readers and the whole differ succeed or throw an Error.

#include <fstream>
#include <iterator>

#include "create-diff-object/object.h"
#include "lookup/binary.h"
#include "unit/damaged-file.h"
#include "unit/object_files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr const char* source = R"(
extern int printk(const char *, ...);
static const char *const names[] = { "one", "two" };
static int count;
__attribute__((noinline)) static int helper(int x)
{
  asm volatile("1: ud2\n.pushsection __bug_table, \"aw\"\n2: .long 1b - .\n.long 3f - .\n.short 7, 1\n.org 2b + 12\n"
               ".popsection\n.pushsection .rodata.bug, \"aMS\", @progbits, 1\n3: .asciz \"file.c\"\n.popsection");
  return x + ++count;
}
int show(int x) { return printk(names[x & 1], helper(x)) + VALUE; }
)";

// What any compiler makes of that is larger.
constexpr size_t object_size = 2000;

class Truncation : public ObjectFiles {
 protected:
  void SetUp() override {
    ObjectFiles::SetUp();
    if (IsSkipped()) return;
    orig_ = compile(source, "orig.o", "-DVALUE=1");
    patched_ = compile(source, "patched.o", "-DVALUE=2");
  }

  // How many beginnings of a file there are (the file itself isn't one), and of how many use(file) throws no Error.
  struct Counts {
    size_t cases = 0, fine = 0;
  };
  template <typename Use>
  Counts each_beginning(const fs::path& whole, Use use) const {
    std::ifstream in(whole, std::ios::binary);
    DamagedFile cut(path("cut.o"), {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()});
    Counts counts;
    counts.cases = cut.each_beginning([&](size_t length) {
      try {
        use(cut.path());
        ++counts.fine;
      } catch (const Error& error) {
        EXPECT_NE(std::string{error.what()}, "") << length;
      }
    });
    EXPECT_EQ(counts.cases, fs::file_size(whole));
    return counts;
  }

  fs::path orig_, patched_;
};

// Section headers come last: not one beginning is an object.
TEST_F(Truncation, OfAnObject) {
  const Counts counts = each_beginning(orig_, [](const fs::path& cut) { Object::read(cut); });
  EXPECT_GT(counts.cases, object_size);
  EXPECT_EQ(counts.fine, 0U);
}

TEST_F(Truncation, OfTheOriginal) {
  const Counts counts = each_beginning(orig_, [&](const fs::path& cut) { run_differ(input(cut, patched_)); });
  EXPECT_GT(counts.cases, object_size);
  EXPECT_EQ(counts.fine, 0U);
}

TEST_F(Truncation, OfThePatchedObject) {
  ASSERT_EQ(run_differ(input(orig_, patched_)).exit_code, exit_ok);
  const Counts counts = each_beginning(patched_, [&](const fs::path& cut) { run_differ(input(orig_, cut)); });
  EXPECT_GT(counts.cases, object_size);
  EXPECT_EQ(counts.fine, 0U);
}

TEST_F(Truncation, OfTheParentsSymbols) {
  DifferInput pair = input(orig_, patched_);
  const auto run = [&](const fs::path& cut) {
    pair.parent_symtab = cut;
    run_differ(pair);
  };
  const Counts object = each_beginning(orig_, run);
  EXPECT_GT(object.cases, object_size);
  EXPECT_EQ(object.fine, 0U);
  run_in(folder_.path(), "readelf -sW orig.o >symbols");
  const Counts text = each_beginning(path("symbols"), run);
  EXPECT_GT(text.cases, 1000U);
  EXPECT_EQ(text.fine, 0U);
}

// Cut off between its lines it says less, and is as good as any.
TEST_F(Truncation, OfTheSymvers) {
  folder_.write("symvers",
                "0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x1\towned\tdrivers/one\tEXPORT_SYMBOL\tNS\n");
  DifferInput pair = input(orig_, patched_);
  const Counts counts = each_beginning(path("symvers"), [&](const fs::path& cut) {
    pair.symvers = cut;
    run_differ(pair);
  });
  EXPECT_EQ(counts.cases, 80U);
  EXPECT_EQ(counts.fine, 2U);
}

}  // namespace
}  // namespace kpatch
