// Pairs of objects of real kernels, five architectures, that lie beside the checkout: expected.json there says what has
// to come out of each. They are data of another project and not part of this one; without them the test is skipped.
//
// KPATCH_OBJECT_PAIRS names another folder of that kind.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "create-diff-object/differ.h"
#include "create-diff-object/object.h"
#include "support/error.h"
#include "unit/skip.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

fs::path folder() {
  if (const char* given = std::getenv("KPATCH_OBJECT_PAIRS"); given != nullptr) return given;
  return fs::path{KPATCH_SOURCE_ROOT} / ".." / "shared" / "objs";
}

std::vector<std::string> names(const std::vector<FunctionReport>& functions) {
  std::vector<std::string> list;
  for (const FunctionReport& f : functions) list.push_back(f.name);
  std::sort(list.begin(), list.end());
  return list;
}

std::vector<std::string> sorted(std::vector<std::string> list) {
  std::sort(list.begin(), list.end());
  return list;
}

const char* outcome(int exit_code) {
  return exit_code == exit_ok ? "built" : exit_code == exit_no_change ? "no-change" : "refused";
}

void check(const nlohmann::json& pair, const fs::path& output) {
  DifferInput input;
  input.orig = folder() / pair.at("orig").get<std::string>();
  input.patched = folder() / pair.at("patched").get<std::string>();
  input.parent_name = "vmlinux";
  input.parent_symtab = input.orig;
  input.symvers = "/dev/null";
  input.output = output;
  input.struct_sizes = pair.at("struct_sizes").get<std::map<std::string, uint64_t>>();
  fs::remove(output);
  DifferResult result;
  try {
    result = run_differ(input);
  } catch (const Error& error) {
    result.exit_code = exit_error;
    result.findings.push_back({"error", Severity::refusal, {}, error.what(), {}});
  }
  std::string findings;
  for (const Finding& f : result.findings) findings += f.rule + " " + name_of(f.location) + ": " + f.message + "\n";
  ASSERT_EQ(outcome(result.exit_code), pair.at("outcome").get<std::string>()) << findings;
  EXPECT_EQ(fs::exists(output), result.exit_code == exit_ok);
  if (result.exit_code == exit_ok) {
    EXPECT_EQ(names(result.changed), sorted(pair.at("patched_functions"))) << findings;
    EXPECT_EQ(names(result.added), sorted(pair.at("new_functions"))) << findings;
    EXPECT_EQ(result.lines_only.size(), pair.at("line_number_only").get<size_t>());
    const Object object = Object::read(output);
    const auto functions = std::count_if(object.symbols().begin(), object.symbols().end(),
                                         [](const Symbol& s) { return s.function() && s.section != no_section; });
    EXPECT_EQ(functions, pair.at("text_symbols").get<std::ptrdiff_t>());
  }
  fs::remove(output);
  for (const fs::path& same : {input.orig, input.patched}) {
    input.orig = input.patched = same;
    const DifferResult nothing = run_differ(input);
    EXPECT_EQ(nothing.exit_code, exit_no_change) << same;
    EXPECT_TRUE(nothing.changed.empty() && nothing.added.empty() && nothing.lines_only.empty()) << same;
  }
}

TEST(ObjectPairs, GiveWhatIsExpected) {
  std::ifstream file(folder() / "expected.json");
  if (!file) SKIP_OPTIONAL("no object pairs at " << folder().lexically_normal());
  const fs::path output = fs::temp_directory_path() / ("object-pairs-" + std::to_string(getpid()) + ".o");
  for (const nlohmann::json& pair : nlohmann::json::parse(file)) {
    SCOPED_TRACE(pair.at("arch").get<std::string>() + "/" + pair.at("case").get<std::string>());
    check(pair, output);
  }
}

}  // namespace
}  // namespace kpatch
