// Instructions for a reader: what they say, which stand beside each other, and which source lines they come from.

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "arch/arch.h"
#include "create-diff-object/differ.h"
#include "elf/elf.h"
#include "klp/klp.h"
#include "kpatch-build/listing-html.h"
#include "kpatch-build/listings.h"
#include "kpatch-build/side-by-side.h"
#include "patch/patch.h"
#include "support/error.h"
#include "support/files.h"
#include "support/html.h"
#include "support/matching.h"
#include "unit/skip.h"
#include "unit/temporary_folder.h"
#include "unit/toolchains.h"

namespace kpatch {
namespace {

constexpr const char* before =
    "int printk(const char *fmt, ...);\n"
    "int known;\n"
    "int f(int x) {\n"
    "  if (x == 7)\n"
    "    return printk(\"a\\n\\\"\", x);\n"
    "  return known + x;\n"
    "}\n";

class Listing : public testing::TestWithParam<TestToolchain> {
 protected:
  void SetUp() override {
    if (!GetParam().installed()) SKIP_PACKAGE(GetParam().compiler << " is not installed");
    if (GetParam().name == std::string_view{"loongarch64"}) SKIP_UNSUPPORTED("libdw of Debian 12 knows no LoongArch");
  }

  DifferResult run(const std::string& after, bool listing) {
    GetParam().compile(folder_.path(), before, "orig.o", "-g -ffunction-sections -fdata-sections");
    GetParam().compile(folder_.path(), after, "patched.o", "-g -ffunction-sections -fdata-sections");
    DifferInput input;
    input.orig = folder_.path() / "orig.o";
    input.patched = folder_.path() / "patched.o";
    input.parent_name = "vmlinux";
    input.parent_symtab = folder_.path() / "orig.o";
    input.symvers = "/dev/null";
    input.output = folder_.path() / "out.o";
    input.explain = true;
    input.listing = listing;
    DifferResult result = run_differ(input);
    json_ = nlohmann::json::parse(json_report(input, result));
    return result;
  }

  TemporaryFolder folder_;
  nlohmann::json json_;
};

std::string changed() {
  std::string text = before;
  return text.replace(text.find("x == 7"), 6, "x == 8");
}

bool has(const std::vector<ListingLine>& lines, std::string_view text) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const ListingLine& line) { return line.text.find(text) != std::string::npos; });
}

const Arch& arch_of(const std::filesystem::path& object) {
  const std::string image = read_file(object);
  return *find_arch(ElfFile(std::as_bytes(std::span(image)), "a.o").header().e_machine);
}

// What of `before` and `changed()` has to be found, as each architecture writes it.
struct Written {
  uint16_t machine;
  const char *seven, *eight;
  std::vector<const char*> references;
};

const Written& written_by(uint16_t machine) {
  static const std::vector<Written> all{
      {EM_X86_64, "$0x7", "$0x8", {"jmp printk", "known"}},
      {EM_AARCH64, "cmp w0, #7", "cmp w0, #8", {"b printk", ", known", "[x1, :lo12:known]", ":lo12:\"a", "bti c"}},
      {EM_PPC64, "cmpwi r3, 7", "cmpwi r3, 8", {"bl printk", "known@ha", "known@l(r", "\"@l(r"}},
      {EM_S390, "cije %r2, 7", "cije %r2, 8", {"jg printk", "larl %r2, \"a", ", known"}},
  };
  return *std::find_if(all.begin(), all.end(), [&](const Written& written) { return written.machine == machine; });
}

TEST_P(Listing, SaysWhatFieldsMean) {
  const DifferResult result = run(changed(), true);
  ASSERT_EQ(result.changed.size(), 1U);
  EXPECT_TRUE(result.changed[0].orig_size.value_or(0) > 0);
  EXPECT_TRUE(result.changed[0].patched_size.value_or(0) > 0);
  const Arch& arch = arch_of(folder_.path() / "orig.o");
  if (arch.code.list == nullptr) {
    EXPECT_TRUE(result.listings.empty());
    EXPECT_FALSE(arch.code.no_list.empty());
    SKIP_PACKAGE(arch.code.no_list);
  }
  ASSERT_EQ(result.listings.size(), 1U);
  const ListingReport& f = result.listings[0];
  EXPECT_EQ(f.name, "f");
  for (const auto* side : {&f.orig, &f.patched}) {
    EXPECT_TRUE(has(*side, " printk")) << json_;
    EXPECT_TRUE(has(*side, "known")) << json_;
    EXPECT_TRUE(has(*side, "\"a\\n\\\"\"")) << json_;
    EXPECT_TRUE(std::any_of(side->begin(), side->end(), [](const ListingLine& line) { return line.to.has_value(); }));
    for (size_t i = 1; i < side->size(); ++i) EXPECT_LT((*side)[i - 1].offset, (*side)[i].offset);
    // NOPs that the compiler puts before a function are of no line.
    const auto has_line = [](const ListingLine& line) { return line.line > 0; };
    const auto first = std::find_if(side->begin(), side->end(), has_line);
    EXPECT_LT(first - side->begin(), 5);
    EXPECT_TRUE(first != side->end() && std::all_of(first, side->end(), has_line));
  }
  const Written& written = written_by(arch.elf.machine);
  EXPECT_TRUE(has(f.orig, written.seven)) << json_;
  EXPECT_FALSE(has(f.patched, written.seven)) << json_;
  EXPECT_TRUE(has(f.patched, written.eight)) << json_;
  for (const char* text : written.references) EXPECT_TRUE(has(f.patched, text)) << text << json_;
  EXPECT_EQ(json_["listings"][0]["name"], "f");
}

TEST_P(Listing, IsMadeWhereItIsAskedForAlone) {
  EXPECT_TRUE(run(changed(), false).listings.empty());
  EXPECT_FALSE(json_.contains("listings"));
}

// A file of debug information is of one module and no other.
TEST_P(Listing, DebugFilesAreOfTheSameCode) {
  run(changed(), false);
  const std::filesystem::path a = folder_.path() / "orig.o", b = folder_.path() / "patched.o";
  std::filesystem::copy_file(a, folder_.path() / "same.o");
  match_debug_file(a, folder_.path() / "same.o");
  EXPECT_THROW(match_debug_file(a, b), Error);
}

// Places of code in its section aren't told: a function that only moved reads the same.
TEST_P(Listing, SaysNothingOfAFunctionsPlace) {
  const std::string loops =
      "int printk(const char *fmt, ...);\n"
      "void f(int n) { for (int i = 0; i < n; i++) if (i & 4) printk(\"x\"); else printk(\"y\"); }\n";
  const auto texts = [&](const std::string& source) {
    GetParam().compile(folder_.path(), source, "a.o", "-falign-functions=64 -fno-align-loops");
    const std::string image = read_file(folder_.path() / "a.o");
    const ElfFile file(std::as_bytes(std::span(image)), "a.o");
    const auto list = find_arch(file.header().e_machine)->code.list;
    std::string text;
    if (list == nullptr) return text;
    uint64_t at = 0, branches = 0;
    for (size_t i = 1; i < file.symbol_count(); ++i)
      if (file.symbol(i).name == "f") at = file.symbol(i).entry.st_value;
    for (const ElfSection& section : file.sections()) {
      if (section.name != ".text") continue;
      const ListingInput input{section.contents, [](uint64_t) { return std::nullopt; }};
      while (const auto line = list(input, at)) {
        text += line->text + "\n";
        branches += line->branch ? 1 : 0;
        at += line->length;
      }
    }
    EXPECT_GT(branches, 2U) << text;
    return text;
  };
  const std::string there = texts(loops);
  if (there.empty()) SKIP_PACKAGE("no disassembler");
  EXPECT_EQ(there, texts("int g(int x) { return x * 77 + 3; }\n" + loops));
}

INSTANTIATE_TEST_SUITE_P(All, Listing, testing::ValuesIn(toolchains()),
                         [](const auto& info) { return std::string{info.param.name}; });

// --- lines of the source ---

TEST(NumberedLines, KnowPlacesBehindOurDirectives) {
  const std::string marked =
      "int f(void)\n{\n+ one\n+ two\n}\n#line 4 /* kpatch */\nint g(void)\n{\n}\n# line 9 \"other\"\n#line 90\nlast\n";
  EXPECT_EQ(line_mark("#line 4 /* kpatch */"), 4);
  EXPECT_EQ(line_mark("#line 90"), std::nullopt);
  EXPECT_EQ(line_mark("#line x /* kpatch */"), std::nullopt);
  const NumberedLines lines(marked);
  // 4 is "+ two", the fourth line, and g's first, the sixth.
  EXPECT_EQ(lines.find(4, 3, "f").value().text, "+ two");
  EXPECT_EQ(lines.find(4, 6, "f").value().place, 6);
  EXPECT_EQ(lines.find(4, 0, "g(").value().text, "int g(void)");
  EXPECT_EQ(lines.find(1, 0, "").value().text, "int f(void)");
  EXPECT_FALSE(lines.find(99, 0, "").has_value());
  EXPECT_FALSE(NumberedLines("").find(1, 0, "").has_value());
}

TEST(Listings, HaveTheTextOfTheirSource) {
  const TemporaryFolder folder;
  write_file(folder.path() / "a.c", "int f(void)\n{\n\treturn <1>;\n}\n");
  const auto json = nlohmann::json::parse(
      R"([{"name":"f","original":[{"offset":0,"text":"ret","file":"/x/a.c","line":3},
          {"offset":1,"text":"jmp","to":0,"file":"/x/b.c","line":1}],"patched":[]}])");
  const ListedTree tree{folder.path(), [](const std::string& file) { return file == "/x/a.c" ? "a.c" : file; }};
  const auto list = listings_of(json, tree, tree);
  ASSERT_EQ(list.size(), 1U);
  ASSERT_EQ(list[0].original.size(), 2U);
  EXPECT_EQ(list[0].original[0].source.value().text, "return <1>;");
  EXPECT_EQ(list[0].original[0].source.value().file, "a.c");
  EXPECT_EQ(list[0].original[1].source.value().text, "");  // no file of the tree
  EXPECT_EQ(list[0].original[1].to, 0U);
  EXPECT_TRUE(list[0].patched.empty());
}

// --- side by side ---

// "text" or "text>offset"; each instruction is one byte long.
std::vector<ListedLine> code(const std::vector<std::string>& texts) {
  std::vector<ListedLine> lines;
  for (const std::string& text : texts) {
    const size_t arrow = text.find('>');
    lines.push_back({lines.size(), text.substr(0, arrow), {}, {}});
    if (arrow != std::string::npos) lines.back().to = std::stoul(text.substr(arrow + 1));
  }
  return lines;
}

// "0=0 1! 2!1 3=2": the lines of both sides, = equal, ! different, - missing.
std::string rows_of(const FunctionListing& listing) {
  std::string text;
  for (const SideBySideRow& row : side_by_side(listing)) {
    text += text.empty() ? "" : " ";
    text += row.original ? std::to_string(*row.original) : "-";
    text += row.differs ? "!" : "=";
    text += row.patched ? std::to_string(*row.patched) : "-";
  }
  return text;
}

TEST(SideBySide, PutsEqualInstructionsBesideEachOther) {
  EXPECT_EQ(rows_of({"f", code({"a", "b", "c"}), code({"a", "b", "c"})}), "0=0 1=1 2=2");
  EXPECT_EQ(rows_of({"f", code({"a", "c"}), code({"a", "b", "c"})}), "0=0 -!1 1=2");
  EXPECT_EQ(rows_of({"f", code({"a", "b", "c"}), code({"a", "c"})}), "0=0 1!- 2=1");
  EXPECT_EQ(rows_of({"f", code({"a", "b", "c"}), code({"a", "x", "c"})}), "0=0 1!1 2=2");
  EXPECT_EQ(rows_of({"f", {}, code({"a"})}), "-!0");
  EXPECT_EQ(rows_of({"f", code({"a"}), {}}), "0!-");
  EXPECT_EQ(rows_of({"f", {}, {}}), "");
}

TEST(SideBySide, BranchesAreEqualWhenTheyLeadToOneRow) {
  // Shifted by what is new: the same place.
  EXPECT_EQ(rows_of({"f", code({"jne>2", "a", "ret"}), code({"jne>3", "new", "a", "ret"})}), "0=0 -!1 1=2 2=3");
  // The same offset, but another place.
  EXPECT_EQ(rows_of({"f", code({"jne>1", "a", "ret"}), code({"jne>1", "new", "a", "ret"})}), "0!0 -!1 1=2 2=3");
}

TEST(SideBySide, WhatDiffersTooMuchStandsRowForRow) {
  std::vector<std::string> a, b;
  for (int i = 0; i < 3000; ++i) {
    a.push_back("a" + std::to_string(i));
    b.push_back("b" + std::to_string(i));
  }
  const auto rows = side_by_side({"f", code(a), code(b)});
  ASSERT_EQ(rows.size(), 3000U);
  EXPECT_TRUE(std::all_of(rows.begin(), rows.end(), [](const SideBySideRow& r) { return r.differs && r.original; }));
}

TEST(SideBySide, RunsHideWhatIsFarFromAChange) {
  std::vector<SideBySideRow> rows(40);
  rows[20].differs = true;
  const auto runs = runs_of(rows, 3);
  ASSERT_EQ(runs.size(), 3U);
  EXPECT_FALSE(runs[0].shown);
  EXPECT_EQ(runs[1].begin, 17U);
  EXPECT_EQ(runs[1].end, 24U);
  EXPECT_TRUE(runs[1].shown);
  EXPECT_EQ(runs[2].end, 40U);
  rows[4].differs = true;  // one row in front is shown as well
  EXPECT_TRUE(runs_of(rows, 3)[0].shown);
  EXPECT_EQ(runs_of(rows, 3)[0].begin, 0U);
}

size_t count(const std::string& text, std::string_view what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(ListingHtml, LabelsBothSidesAlike) {
  const ListingHtml html =
      listing_html({"f", code({"jne>2", "a", "ret"}), code({"jne>3", "new", "a", "ret"})}, "f0", {});
  EXPECT_EQ(html.gone, 0U);
  EXPECT_EQ(html.added, 1U);
  EXPECT_EQ(html.rows, 4U);
  EXPECT_EQ(count(html.text, "<a href=#f0-1>L1</a>"), 2U) << html.text;
  EXPECT_EQ(count(html.text, "id=f0-1>"), 1U);
  EXPECT_FALSE(html.folds);
}

TEST(ListingHtml, CutsWhatIsLarge) {
  std::vector<std::string> a;
  for (int i = 0; i < 5000; ++i) a.push_back("nop " + std::to_string(i));
  std::vector<std::string> b = a;
  b[2500] = "ud2";
  const ListingHtml large = listing_html({"f", code(a), code(b)}, "f0", {});
  EXPECT_LT(large.rows, 100U);
  EXPECT_FALSE(large.folds);
  EXPECT_NE(large.text.find("left out of this large function"), std::string::npos);
  EXPECT_NE(large.text.find("<b>ud2</b>"), std::string::npos);
  b.resize(1000), a.resize(1000);
  b[500] = "ud2";
  const ListingHtml small = listing_html({"f", code(a), code(b)}, "f0", {});
  EXPECT_EQ(small.rows, 1000U);
  EXPECT_TRUE(small.folds);
  EXPECT_EQ(small.text.find("left out"), std::string::npos);
  const ListingHtml cut = listing_html({"f", {}, code(std::vector<std::string>(4000, "nop"))}, "f0", {});
  EXPECT_EQ(cut.rows, 3000U);
  EXPECT_NE(cut.text.find("1000 instructions more, left out"), std::string::npos);
}

TEST(ListingHtml, EscapesCodeAndSource) {
  FunctionListing listing{"f", code({"mov <&, x"}), code({"mov <&, x"})};
  listing.original[0].source = {"a<b>.c", 3, "if (a < b && \"</script>\")"};
  const std::string text = listing_html(listing, "f0", {}).text;
  EXPECT_NE(text.find("<b>mov</b> &lt;&amp;, x"), std::string::npos) << text;
  EXPECT_NE(text.find("a&lt;b&gt;.c"), std::string::npos);
  EXPECT_EQ(text.find("</script>"), std::string::npos);
}

TEST(Html, HasCharactersOnly) {
  EXPECT_EQ(escaped_html("<a href=\"'&\">"), "&lt;a href=&quot;&#39;&amp;&quot;&gt;");
  EXPECT_EQ(escaped_html("na\u00efve \U0001f600\t\n"), "na\u00efve \U0001f600\t\n");
  for (const char* damaged : {"\xff", "\x80", "\xc3", "\xe2\x82", "\x01"})
    EXPECT_EQ(escaped_html(std::string(damaged) + "x").substr(0, 3), "\ufffd") << damaged;
  EXPECT_EQ(escaped_html("caf\xe9!"), "caf\ufffd!");
}

TEST(MatchedLines, GivesUpWhereTheyDifferTooMuch) {
  const std::vector<std::string_view> a = {"1", "2", "3"}, b = {"4", "5", "6"};
  EXPECT_FALSE(matched_lines(a, b, 5).has_value());
  EXPECT_TRUE(matched_lines(a, b, 6).has_value());
}

}  // namespace
}  // namespace kpatch
