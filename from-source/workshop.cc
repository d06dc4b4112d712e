#include "from-source/workshop.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "extract/extract.h"
#include "rules/rules.h"
#include "support/data.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;
using std::string;

void report(Console& console, std::vector<Finding> findings) {
  size_t refusals = 0;
  add_advice(findings);
  for (const Finding& finding : sorted(std::move(findings))) {
    const bool ends = finding.severity == Severity::refusal || finding.severity == Severity::error;
    refusals += ends ? 1 : 0;
    if (ends)
      console.error(text_of(finding));
    else if (finding.severity == Severity::warning)
      console.warning(text_of(finding));
    else
      console.debug(text_of(finding));
  }
  if (refusals > 0)
    throw ExitError(exit_unpatchable,
                    refusals == 1 ? "nothing is made, for this reason" : "nothing is made, for these reasons");
}

Workshop::Workshop(const Base& base, Cache& cache, Executor& executor, Console& console, fs::path scratch)
    : base_(base),
      cache_(cache),
      executor_(executor),
      console_(console),
      scratch_(std::move(scratch)),
      symvers_(Symvers::read(base_.symvers)),
      shipped_(std::make_unique<ShippedBinaries>(base_)) {}

CompileCommand Workshop::command_of(const string& source, const string& module) {
  if (!fs::exists(base_.source / source))
    throw ExitError(42, fmt::format("{}: the kernel's source has no such file", source));
  std::vector<CompileCommand> found = commands_for_source(base_, executor_, source);
  const auto owner = [](const CompileCommand& command) {
    return command.module.empty() ? string("vmlinux") : module_name_of(command.module);
  };
  const bool built = !found.empty();
  std::vector<string> owners;
  for (const CompileCommand& command : found) owners.push_back(owner(command));
  if (!module.empty())
    std::erase_if(found, [&](const CompileCommand& c) { return owner(c) != module_name_of(module); });
  if (!built)
    throw ExitError(42, fmt::format("{}: {} doesn't build it: its option is off, or another file includes it", source,
                                    base_.release));
  if (found.empty())
    throw ExitError(42, fmt::format("{}: is part of {}, not of {}", source, joined(owners, ", "), module));
  if (found.size() > 1)
    throw ExitError(42, fmt::format("{}: is part of {}: say of which, by module-name in klpsrc.conf or by --module",
                                    source, joined(owners, ", ")));
  return std::move(found.front());
}

const Binary& Workshop::running(const string& module) {
  if (module.empty()) return shipped_->object(module);
  const auto known = running_.find(module);
  if (known != running_.end()) return known->second;
  const std::vector<string> modules{module};
  unpack_debug_modules(base_, modules, cache_, executor_, console_);
  return running_.emplace(module, Binary::open(parent_of_module(base_, module))).first->second;
}

fs::path Workshop::original_object(const CompileCommand& command) {
  fs::path& object = originals_[{command.source, command.module}];
  if (!object.empty()) return object;
  const AppliedPatches none;
  const fs::path folder = scratch_ / fmt::format("original-{}", originals_.size());
  PatchedView nothing(base_.source, folder, none);
  const fs::path output = scratch_ / fmt::format("original-{}.o", originals_.size());
  compile(words(command, Variant::original, nothing), output, command.source);
  remove_tree(folder);
  return object = output;
}

std::vector<string> Workshop::words(const CompileCommand& command, Variant variant, PatchedView& view) const {
  CompileSettings settings{base_, view, scratch_, data_file("kmod-template")};
  settings.key_headers = key_headers_;
  return bare_command(compile_arguments(command, variant, settings, scratch_ / "unit.o", scratch_ / "unit.d",
                                        has_runtime_constants(base_)));
}

void Workshop::compile(std::vector<string> words, const fs::path& output, const string& what) {
  words.insert(words.end(), {"-c", "-o", output.string()});
  const CommandResult result = executor_.run({std::move(words), base_.kbuild, {}});
  if (!result.ok()) throw Error(fmt::format("{} can't be compiled:\n{}", what, result.output));
}

}  // namespace kpatch
