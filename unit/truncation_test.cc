// Files that end too early: whatever the length, the readers and the whole differ succeed or throw an Error.

#include <fstream>
#include <iterator>

#include "create-diff-object/object.h"
#include "lookup/binary.h"
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

class Truncation : public ObjectFiles {
 protected:
  void SetUp() override {
    ObjectFiles::SetUp();
    if (IsSkipped()) return;
    orig_ = compile(source, "orig.o", "-DVALUE=1");
    patched_ = compile(source, "patched.o", "-DVALUE=2");
  }

  // Calls use(file) with each beginning of the file; counts the calls that throw no Error.
  template <typename Use>
  size_t each_length(const fs::path& whole, Use use) const {
    std::ifstream file(whole, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const fs::path cut = folder_.write("cut.o", bytes);
    size_t fine = 0;
    for (size_t length = bytes.size(); length-- > 0;) {
      fs::resize_file(cut, length);
      try {
        use(cut);
        ++fine;
      } catch (const Error& error) {
        EXPECT_NE(std::string{error.what()}, "") << length;
      }
    }
    return fine;
  }

  fs::path orig_, patched_;
};

TEST_F(Truncation, OfAnObject) {
  // Section headers come last: not one beginning is an object.
  EXPECT_EQ(each_length(orig_, [](const fs::path& cut) { Object::read(cut); }), 0U);
}

TEST_F(Truncation, OfTheOriginal) {
  EXPECT_EQ(each_length(orig_, [&](const fs::path& cut) { run_differ(input(cut, patched_)); }), 0U);
}

TEST_F(Truncation, OfThePatchedObject) {
  ASSERT_EQ(run_differ(input(orig_, patched_)).exit_code, exit_ok);
  EXPECT_EQ(each_length(patched_, [&](const fs::path& cut) { run_differ(input(orig_, cut)); }), 0U);
}

TEST_F(Truncation, OfTheParentsSymbols) {
  run_in(folder_.path(), "readelf -sW orig.o >symbols");
  for (const fs::path& parent : {orig_, path("symbols")}) {
    DifferInput pair = input(orig_, patched_);
    each_length(parent, [&](const fs::path& cut) {
      pair.parent_symtab = cut;
      run_differ(pair);
    });
  }
}

TEST_F(Truncation, OfTheSymvers) {
  folder_.write("symvers",
                "0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x1\towned\tdrivers/one\tEXPORT_SYMBOL\tNS\n");
  DifferInput pair = input(orig_, patched_);
  each_length(path("symvers"), [&](const fs::path& cut) {
    pair.symvers = cut;
    run_differ(pair);
  });
}

}  // namespace
}  // namespace kpatch
