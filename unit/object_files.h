// Objects for tests of the differ: compiled or assembled by the host's gcc, and runs over pairs of them.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "create-diff-object/differ.h"
#include "support/error.h"
#include "unit/skip.h"
#include "unit/temporary_folder.h"
#include "unit/toolchains.h"

namespace kpatch {

class ObjectFiles : public testing::Test {
 protected:
  void SetUp() override {
#ifndef __x86_64__
    SKIP_MACHINE("the assembly here is x86-64's");
#endif
    if (!toolchains().front().installed()) SKIP_PACKAGE(toolchains().front().compiler << " is not installed");
  }

  std::filesystem::path path(const std::string& name) const { return folder_.path() / name; }

  std::filesystem::path compile(const std::string& text, const std::string& object,
                                const std::string& flags = "") const {
    toolchains().front().compile(folder_.path(), text, object, "-ffunction-sections -fdata-sections " + flags);
    return path(object);
  }

  std::filesystem::path assemble(const std::string& text, const std::string& object,
                                 const std::string& flags = "") const {
    folder_.write(object + ".s", text);
    run_in(folder_.path(), "gcc " + flags + " -c -o " + object + " " + object + ".s");
    return path(object);
  }

  // The original is the parent.
  DifferInput input(const std::filesystem::path& orig, const std::filesystem::path& patched) const {
    DifferInput input;
    input.orig = orig;
    input.patched = patched;
    input.parent_name = "vmlinux";
    input.parent_symtab = orig == "/dev/null" ? patched : orig;
    input.symvers = "/dev/null";
    input.output = path("output.o");
    input.struct_sizes = {{"alt_instr", 14}, {"bug_entry", 12}, {"jump_entry", 16}};
    return input;
  }

  // What came out, in words: "changed f", "new f", "refused RULE where", "exit N".
  std::vector<std::string> diff(const std::filesystem::path& orig, const std::filesystem::path& patched) const {
    const DifferResult result = run_differ(input(orig, patched));
    std::vector<std::string> facts;
    for (const FunctionReport& f : result.changed) facts.push_back("changed " + f.name);
    for (const FunctionReport& f : result.added) facts.push_back("new " + f.name);
    for (const Finding& f : result.findings)
      if (f.severity == Severity::refusal) facts.push_back("refused " + f.rule + " " + name_of(f.location));
    facts.push_back("exit " + std::to_string(result.exit_code));
    return facts;
  }

  const TemporaryFolder folder_;
};

using Facts = std::vector<std::string>;

}  // namespace kpatch
