// What the rules of Makefiles make files of, other than by compiling.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernel.h"

namespace kpatch {

// A header that a rule or a script of a Makefile reads itself.
struct RuleInput {
  std::string pattern;   // "include/linux/socket.h"; may have a shell's wildcards
  std::string makefile;  // "security/apparmor/Makefile"
};

// Of one Makefile's text. folder: where it lies, from the top of the source.
std::vector<RuleInput> rule_inputs_of(std::string_view text, std::string_view folder, const std::string& makefile);

// Of all Makefiles of the kernel and of its architecture. memo: the file where the answer is kept for the next time.
std::vector<RuleInput> rule_inputs(const Base& base, const std::filesystem::path& memo);

// The Makefiles that make something of the header.
std::vector<std::string> makefiles_that_read(const std::vector<RuleInput>& inputs, const std::string& header);

// May a script that picks lines out of the header find others than before? Where no line with a constant's name came or went,
// it doesn't.
bool lists_something_else(std::string_view before, std::string_view after);

// The first line of a Makefile with which files are made otherwise (a recipe, a command, a rule for what is no object),
// that is on one side alone; empty where there is none.
std::string changed_recipe(std::string_view before, std::string_view after);

}  // namespace kpatch
