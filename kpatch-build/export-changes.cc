// What modules that exist were compiled with
//
// A patched function that is exported is called by modules which nobody compiles again. Whether they still fit, the
// kernel itself decides by a CRC for each export, made from its declaration and all types that this leads to. So kbuild's
// generator is run over both sides of each object that exports something; what it gives for the original must be what the
// shipped Module.symvers has, or it says nothing about this kernel. What differs goes to create-diff-object, which knows
// the layouts: a member that fills a hole changes the CRC as well, and does no harm to who doesn't know it.
//
//     0.exports-before.i ─► genksyms ─► 0.before.crcs  0.before.types ─┐
//     0.exports-after.i  ─► genksyms ─► 0.after.crcs   0.after.types ──┴► 0.exports
#include "kpatch-build/export-changes.h"

#include <fmt/format.h>

#include <algorithm>

#include "kbuild/kbuild.h"
#include "lookup/lookup.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

// By the marks that EXPORT_SYMBOL leaves: __ksymtab_NAME, since 6.4 __export_symbol_NAME.
std::vector<std::string> exports_of(const fs::path& object) {
  std::vector<std::string> names;
  const Binary binary = Binary::open(object);
  for (const BinarySymbol& symbol : binary.symbols())
    for (const std::string_view prefix : {"__ksymtab_", "__export_symbol_"})
      if (symbol.defined() && symbol.name.starts_with(prefix)) names.emplace_back(symbol.name.substr(prefix.size()));
  std::ranges::sort(names);
  return names;
}

class Search {
 public:
  Search(const CompileSettings& settings, Executor& executor, const VersionGenerator& generator)
      : settings_(settings), executor_(executor), generator_(generator) {}

  std::vector<Finding> run(std::span<ObjectPair> pairs) {
    for (ObjectPair& pair : pairs) {
      if (pair.original.empty() || pair.original == "/dev/null") continue;
      std::vector<std::string> names = exports_of(pair.original);
      if (names.empty()) continue;
      pairs_.push_back(&pair);
      names_.push_back(std::move(names));
    }
    if (pairs_.empty()) return {};
    std::error_code missing;
    if (!fs::is_regular_file(generator_.program, missing)) {
      warn(*pairs_.front(),
           fmt::format("{} isn't there", generator_.program.lexically_relative(base().kbuild).string()));
      return std::move(findings_);
    }
    const Symvers shipped = Symvers::read(base().symvers);
    const std::vector<CommandResult> results = generate();
    for (size_t i = 0; i < pairs_.size(); ++i) judge(i, results[2 * i], results[2 * i + 1], shipped);
    return std::move(findings_);
  }

 private:
  const Base& base() const { return settings_.base; }

  fs::path file(size_t pair, const char* ending) const {
    return settings_.directory / fmt::format("{}.{}", pair, ending);
  }

  // Two for each pair: the original, the patched.
  std::vector<CommandResult> generate() {
    std::vector<ExportTexts> inputs;
    if (generator_.reads_objects)
      for (const ObjectPair* pair : pairs_) inputs.push_back({pair->original, pair->patched});
    else
      inputs = preprocess_exports(pairs_, settings_, executor_);
    std::vector<Command> commands;
    for (size_t i = 0; i < pairs_.size(); ++i) {
      write_file(file(i, "names"), joined(names_[i], "\n") + "\n", Flush::no);
      commands.push_back(version_command(generator_, inputs[i].before, file(i, "names"), file(i, "before.crcs"),
                                         file(i, "before.types")));
      commands.push_back(version_command(generator_, inputs[i].after, file(i, "names"), file(i, "after.crcs"),
                                         file(i, "after.types")));
    }
    return executor_.run_all(commands, settings_.jobs);
  }

  void judge(size_t i, const CommandResult& original, const CommandResult& patched, const Symvers& shipped) {
    ObjectPair& pair = *pairs_[i];
    if (!original.ok() || !patched.ok()) {
      const std::string& output = original.ok() ? patched.output : original.output;
      warn(pair, fmt::format("{} failed: {}", generator_.program.filename().string(),
                             trimmed(std::string_view(output).substr(0, output.find('\n')))));
      return;
    }
    ExportVersions before = versions(file(i, "before.crcs"), file(i, "before.types"));
    const ExportVersions after = versions(file(i, "after.crcs"), file(i, "after.types"));
    const std::string& module = pair.command.module;
    const std::vector<std::string> others = other_than_shipped(before, shipped, module.empty() ? "vmlinux" : module);
    if (!others.empty())
      warn(pair, fmt::format("{} is given {:#010x} here, and has {:#010x} in the shipped Module.symvers{}",
                             others.front(), before.crcs.at(others.front()), shipped.find(others.front())->crc,
                             others.size() > 1 ? fmt::format("; so with {} more", others.size() - 1) : ""));
    for (const std::string& name : others) before.crcs.erase(name);
    const std::vector<ExportChange> changes = export_changes(before, after);
    if (changes.empty()) return;
    pair.exports = file(i, "exports");
    write_file(pair.exports, text_of(changes), Flush::no);
  }

  static ExportVersions versions(const fs::path& crcs, const fs::path& types) {
    return read_export_versions(read_file(crcs), read_file(types));
  }

  void warn(const ObjectPair& pair, std::string why) {
    findings_.push_back({"export-versions",
                         Severity::warning,
                         {.source = pair.command.source},
                         fmt::format("the versions of its exports can't be compared by the kernel's own generator: {}. "
                                     "Prototypes and types are compared all the same, by debug information",
                                     why),
                         {}});
  }

  const CompileSettings& settings_;
  Executor& executor_;
  const VersionGenerator& generator_;
  std::vector<ObjectPair*> pairs_;
  std::vector<std::vector<std::string>> names_;  // exports, by pair
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> find_export_changes(std::span<ObjectPair> pairs, const CompileSettings& settings,
                                         Executor& executor) {
  const std::optional<VersionGenerator> generator = version_generator(settings.base);
  if (!generator) return {};
  return Search(settings, executor, *generator).run(pairs);
}

}  // namespace kpatch
