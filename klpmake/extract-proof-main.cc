// kpatch-extract-proof: whether functions that nobody changed come out of the extractor with the code that they have in
// their own file. For integration/extract-proof; not installed.
//
//     unit ──► its object, as the kernel's compiler makes it ─────────────────────────────┐
//       └────► extracted function, compiled by the same command ──► bound by post-link ──►┴ compared as a livepatch is
//
// The comparison is that of a finished livepatch (klp/delivery.h): what is in the livepatch is matched with the unit's own
// object from the table of functions on, a symbol that is bound with the one that it is bound to. No module is built, so what objtool
// lists is left out.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "from-source/from-source.h"
#include "klp/klp.h"
#include "kpatch-build/kpatch-build.h"
#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "support/program.h"
#include "support/text.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;
using std::string;
using std::string_view;

constexpr const char* usage =
    "Usage: kpatch-extract-proof RELEASE list\n"
    "       kpatch-extract-proof RELEASE command SOURCE\n"
    "       kpatch-extract-proof RELEASE prove SEED COUNT      units (SOURCE, tab, MODULE) from standard input\n"
    "\n"
    "command writes the folder in which the kernel's build compiles the file, and the words, a line each.\n"
    "prove writes a line a function, separated by tabs: unit, module, function, outcome, \"again\" (the extraction of "
    "the result),\n"
    "\"twice\" (a second run), \"paths\" (none of this machine), bytes of the source, why.\n";

// What a function may come out otherwise for: both are compiled with the flags, and are equal then.
struct Explanation {
  const char* outcome;
  std::vector<const char*> flags;
};

const std::vector<Explanation> explanations = {
    {"visible", {}},
    // gcc breaks ties by what it has seen of the file before.
    {"order", {"-fno-schedule-insns2"}},
    // What it concludes of a function that is called from its body, and of a variable from all its uses in the file.
    {"inferred",
     {"-fno-schedule-insns2", "-fno-ipa-modref", "-fno-ipa-pure-const", "-fno-ipa-reference", "-fno-ipa-ra",
      "-fno-ipa-bit-cp", "-fno-ipa-vrp", "-fno-tree-pta"}},
    // A static function with one caller left is inlined there; one that isn't whole, or has constant arguments, is made
    // another one by all of its callers.
    {"inlined",
     {"-fno-schedule-insns2", "-fno-ipa-modref", "-fno-ipa-pure-const", "-fno-ipa-reference", "-fno-ipa-ra",
      "-fno-ipa-bit-cp", "-fno-ipa-vrp", "-fno-tree-pta", "-fno-inline-functions-called-once", "-fno-partial-inlining",
      "-fno-ipa-cp", "-fno-ipa-sra", "-fno-ipa-icf", "-fno-inline-small-functions", "-fno-inline-functions"}}};

struct Outcome {
  string outcome, again = "-", twice = "-", paths = "-";
  size_t bytes = 0;
  string why;
};

string one_line(string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return text;
}

// Without the comments that say where each text stands: of a result that is in the result.
string without_places(const string& text) {
  string kept;
  for (const std::string_view line : lines_of(text))
    if (!line.starts_with("/* from ")) kept.append(line) += '\n';
  return kept;
}

string first_difference(const string& once, const string& again) {
  const std::vector<string_view> left = lines_of(once), right = lines_of(again);
  const auto [a, b] = std::ranges::mismatch(left, right);
  return fmt::format("'{}' came out again as '{}'", a == left.end() ? "" : *a, b == right.end() ? "" : *b);
}

class Prover {
 public:
  Prover(KernelSession& kernel, std::FILE* results, string seed, size_t count)
      : workshop_(kernel.base(), kernel.cache(), kernel.executor(), kernel.console(), kernel.scratch()),
        vmlinux_(Binary::open(kernel.base().vmlinux_index)),
        results_(results),
        seed_(std::move(seed)),
        count_(count) {}

  void prove_unit(const CompileCommand& command) {
    const AppliedPatches none;
    const SourcePair pair = read_pair(workshop_, command, none);
    const ObjectFacts facts(workshop_.original_object(command));
    std::vector<std::pair<string, string>> functions;
    for (const Subject& function : pair.original.functions())
      if (function.location.source == command.source && facts.function(function.symbol) != nullptr)
        functions.emplace_back(digest_of(seed_ + command.source + function.name), function.name);
    std::ranges::sort(functions);
    if (functions.size() > count_) functions.resize(count_);
    if (functions.empty())
      print(command, "-", {.outcome = "empty", .why = "the unit has no function with code of its own"});
    for (const auto& [order, name] : functions) {
      Outcome outcome;
      try {
        outcome = prove_function(pair, name);
      } catch (const ExitError& error) {
        throw;
      } catch (const Error& error) {
        // A branch on a key of the module itself: what post-link says of it.
        const bool key = string_view(error.what()).find(": the kernel reads ") != string::npos;
        outcome = {.outcome = key ? "refused module-key" : "error", .why = error.what()};
      }
      print(command, name, outcome);
    }
  }

  void print(const CompileCommand& command, const string& function, const Outcome& o) const {
    fmt::print(results_, "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", command.source, command.module, function, o.outcome,
               o.again, o.twice, o.paths, o.bytes, one_line(o.why));
    std::fflush(results_);
  }

 private:
  Outcome prove_function(const SourcePair& pair, const string& name) {
    const string stem = fs::path(pair.command.source).stem().string();
    Bindings bindings({name}), second({name});
    const LivepatchSource source = make_source(workshop_, pair, {name}, stem, bindings);
    if (source.text.empty()) return refusal(source);
    Outcome outcome;
    outcome.bytes = source.text.size();
    outcome.twice = make_source(workshop_, pair, {name}, stem, second).text == source.text ? "yes" : "no";
    outcome.paths = names_this_machine(source.text) ? "no" : "yes";
    const string once = without_places(source.text), twice = without_places(extracted_again(pair, source, stem));
    outcome.again = once == twice ? "yes" : "no";
    if (once != twice) outcome.why = first_difference(once, twice);
    fs::path module = linked(pair.command, pair.owner, source, stem, bindings);
    std::vector<Finding> differences = compared(module, workshop_.original_object(pair.command), pair.owner);
    outcome.outcome = differences.empty() ? "equal" : "differs";
    for (const Explanation& explanation : explanations) {
      if (differences.empty()) break;
      CompileCommand command = pair.command;
      command.arguments.insert(command.arguments.end() - 1, explanation.flags.begin(), explanation.flags.end());
      if (!explanation.flags.empty()) module = linked(command, pair.owner, source, stem, bindings);
      differences = compared(module, with_visible(command, source, stem), pair.owner);
      if (differences.empty()) outcome.outcome = explanation.outcome;
    }
    if (differences.size() > 3) differences.resize(3);
    for (const Finding& finding : differences) outcome.why += (outcome.why.empty() ? "" : "; ") + text_of(finding);
    return outcome;
  }

  static Outcome refusal(const LivepatchSource& source) {
    for (const Finding& finding : source.findings)
      if (finding.severity >= Severity::refusal) return {.outcome = "refused " + finding.rule, .why = text_of(finding)};
    return {.outcome = "error", .why = "no text, and no reason"};
  }

  bool names_this_machine(const string& text) const {
    const Base& base = workshop_.base();
    return std::ranges::any_of(
        std::vector<string>{base.source.string(), base.kbuild.string(), workshop_.scratch().string()},
        [&](const string& path) { return text.find(path) != string::npos; });
  }

  string extracted_again(const SourcePair& pair, const LivepatchSource& source, const string& stem) const {
    const SourceUnit unit(source.text, pair.command.arguments, {});
    ExtractRequest request;
    for (const ReplacedFunction& function : source.replaced) request.functions.insert(function.name);
    request.decide = [](const Subject&) { return Treatment{}; };
    request.heading = source.heading;
    request.alias_prefix = replacement_name(stem, "");
    return unit.extract(request).text;
  }

  // The unit's own object, but that the functions are visible outside of it, as they are in a livepatch: which makes the
  // compiler begin them with a landing pad, and keep to the calling convention.
  fs::path with_visible(const CompileCommand& command, const LivepatchSource& source, const string& stem) {
    const fs::path folder = workshop_.scratch() / "visible";
    remove_tree(folder);
    fs::create_directories(folder);
    const AppliedPatches none;
    PatchedView nothing(workshop_.base().source, folder / "view", none);
    string text = preprocess(workshop_.words(command, Variant::original, nothing), workshop_.base().kbuild,
                             folder / "unit.i", workshop_.executor());
    for (const ReplacedFunction& function : source.replaced)
      text += fmt::format("\nextern __typeof__({0}) {1} __attribute__((__alias__(\"{0}\")));\n", function.name,
                          replacement_name(stem, function.name));
    write_file(folder / (stem + ".c"), text, Flush::no);
    workshop_.compile(livepatch_words(command, folder / (stem + ".c")), folder / (stem + ".o"), stem);
    return folder / (stem + ".o");
  }

  // The livepatch, but for what the kernel's build would add.
  fs::path linked(const CompileCommand& command, const string& owner, const LivepatchSource& source, const string& stem,
                  const Bindings& bindings) {
    const fs::path folder = workshop_.scratch() / "proof";
    remove_tree(folder);
    fs::create_directories(folder);
    std::vector<TableRow> rows;
    for (const ReplacedFunction& function : source.replaced)
      rows.push_back({owner, function.name, replacement_name(stem, function.name), function.position});
    write_file(folder / (stem + ".c"), source.text, Flush::no);
    write_file(folder / "livepatch.c", patch_table(rows, true), Flush::no);
    ModulePlan plan;
    plan.name = "livepatch-proof";
    plan.parts = {{folder / (stem + ".c"), command, owner, false}, {folder / "livepatch.c", command, "vmlinux", true}};
    plan.symbols_file = "the symbols that are bound";
    plan.symbols = bindings.symbols();
    const std::vector<fs::path> objects = compile_livepatch(workshop_, plan, folder);
    Command link{{"ld", "-r", "-o", (folder / "linked.o").string()}, folder, {}};
    for (const fs::path& object : objects) link.argv.push_back(object.string());
    if (const CommandResult result = workshop_.executor().run(link); !result.ok()) throw Error(result.output);
    post_link(folder / "linked.o", folder / "proof.ko");
    return folder / "proof.ko";
  }

  std::vector<Finding> compared(const fs::path& module, const fs::path& object, const string& owner) {
    AuditInput input;
    input.module = module;
    input.release = workshop_.base().release;
    input.vmlinux = &vmlinux_;
    input.symvers = &workshop_.symvers();
    input.open_module = [&](std::string_view other) { return workshop_.shipped().named(other); };
    const std::vector<PatchedObject> unit = {{object, owner}};
    std::vector<Finding> findings = check_delivery(input, unit, MadeOf::extracted_source);
    std::erase_if(findings, [](const Finding& f) { return f.message.find("doesn't list it") != string::npos; });
    return findings;
  }

  Workshop workshop_;
  Binary vmlinux_;
  std::FILE* results_;
  string seed_;
  size_t count_;
};

// Standard output for what is asked; what the stages of a session say goes to standard error.
std::FILE* results_apart() {
  std::FILE* results = fdopen(dup(STDOUT_FILENO), "w");
  if (results == nullptr || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) throw Error("standard output can't be written");
  return results;
}

int prove(KernelSession& kernel, std::FILE* results, const string& seed, size_t count) {
  Prover prover(kernel, results, seed, count);
  for (string line; std::getline(std::cin, line);) {
    const std::vector<std::string_view> fields = fields_of(line, '\t');
    const string source(fields.front()), module(fields.size() > 1 ? fields[1] : "");
    CompileCommand command;
    command.source = source;
    command.module = module;
    try {
      for (CompileCommand& other : commands_for_source(kernel.base(), kernel.executor(), source))
        if (other.module == module) command = std::move(other);
      if (command.arguments.empty()) throw Error("the kernel doesn't build it");
      prover.prove_unit(command);
    } catch (const Error& error) {
      prover.print(command, "-", {.outcome = "error", .why = error.what()});
    }
  }
  return exit_ok;
}

int run(const std::vector<string>& words) {
  const bool known =
      words.size() > 1 && ((words[1] == "list" && words.size() == 2) || (words[1] == "command" && words.size() == 3) ||
                           (words[1] == "prove" && words.size() == 4));
  if (!known) {
    fmt::print(stderr, "{}", usage);
    return exit_error;
  }
  Options options;
  options.archversion = words[0];
  std::FILE* results = results_apart();
  KernelSession kernel(std::move(options), 0);
  if (words[1] == "prove") return prove(kernel, results, words[2], std::stoul(words[3]));
  if (words[1] == "command") {
    const std::vector<CompileCommand> found = commands_for_source(kernel.base(), kernel.executor(), words[2]);
    if (found.empty()) throw Error(fmt::format("{}: the kernel doesn't build it", words[2]));
    fmt::print(results, "{}\n{}\n", kernel.base().kbuild.string(), joined(bare_command(found.front().arguments), "\n"));
    return exit_ok;
  }
  for (const CompileCommand& command : shipped_commands(kernel.base(), kernel.executor()))
    if (fs::path(command.source).extension() == ".c") fmt::print(results, "{}\t{}\n", command.source, command.module);
  return exit_ok;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return run({argv + 1, argv + argc}); }, "kpatch-extract-proof: ");
}
