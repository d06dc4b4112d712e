// From the livepatch's sources to a module that is audited
//
// Each source is compiled as the kernel compiles the file that it was taken from. What they leave undefined is exported by
// vmlinux, or a line of the list of symbols tells which symbol of which object it is; post-link makes klp relocations of
// those. A table of the replaced functions is compiled with them, or stands in one of them.
#include "from-source/module.h"

#include <fmt/core.h>

#include <algorithm>

#include "klp/klp.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

// What the compiled sources define and leave open.
class Linkage {
 public:
  Linkage(Workshop& workshop, const string& symbols_file) : workshop_(workshop), symbols_file_(symbols_file) {}

  void add(const fs::path& object, const string& file, const string& owner) {
    const Binary compiled = Binary::open(object);
    for (const BinarySymbol& symbol : compiled.symbols()) {
      if (symbol.name.empty() || symbol.binding == SymbolBinding::local) continue;
      if (symbol.defined())
        defined_.emplace(symbol.name);
      else
        users_[string(symbol.name)].insert({owner, file});
    }
  }

  // Which object's code uses each placeholder. Throws Error with all names that nobody knows.
  std::map<string, string> settle(const std::vector<LivepatchSymbol>& symbols) {
    std::map<string, string> patched;
    std::vector<string> errors;
    for (const LivepatchSymbol& symbol : symbols) {
      const auto users = users_.find(symbol.placeholder);
      if (users == users_.end()) {
        workshop_.console().warning(
            fmt::format("{}:{}: {} is used by no source", symbols_file_, symbol.line, symbol.placeholder));
        continue;
      }
      patched[symbol.placeholder] = users->second.begin()->first;
      if (symbol.owner != "vmlinux" && users->second.begin()->first != users->second.rbegin()->first)
        errors.push_back(
            fmt::format("{}:{}: {} of {} is used for {} and for {}: give the second one a name "
                        "of its own, by a fourth column and asm(\"…\")",
                        symbols_file_, symbol.line, symbol.placeholder, symbol.owner, users->second.begin()->first,
                        users->second.rbegin()->first));
    }
    for (const auto& [name, users] : users_) {
      if (patched.contains(name) || defined_.contains(name)) continue;
      if (name == "__this_module" || name == "_GLOBAL_OFFSET_TABLE_") continue;
      const Export* found = workshop_.symvers().find(name);
      if (found != nullptr && found->owner == "vmlinux") {
        if (!found->name_space.empty()) namespaces_.insert(found->name_space);
        continue;
      }
      errors.push_back(fmt::format("{}: {} is neither exported by vmlinux nor listed in {}", users.begin()->second,
                                   name, symbols_file_));
    }
    if (!errors.empty()) throw Error(joined(errors, "\n"));
    return patched;
  }
  const std::set<string>& namespaces() const { return namespaces_; }

 private:
  Workshop& workshop_;
  const string& symbols_file_;
  std::set<string> defined_, namespaces_;
  std::map<string, std::set<std::pair<string, string>>> users_;  // by name: the patched object, and the file
};

std::vector<string> table_words(const CompileCommand& command, const fs::path& file) {
  std::vector<string> words = bare_command(command.arguments);
  words.pop_back();
  words.insert(words.end(), {"-DMODULE", "-g0", file.string()});
  return words;
}

std::vector<Finding> audited(Workshop& workshop, const fs::path& module, const string& name) {
  const Binary vmlinux = Binary::open(workshop.base().vmlinux_index);
  AuditInput input;
  input.module = module;
  input.name = name;
  input.release = workshop.base().release;
  input.vmlinux = &vmlinux;
  input.symvers = &workshop.symvers();
  input.open_module = [&](std::string_view other) { return workshop.shipped().named(other); };
  return audit(input);
}

}  // namespace

string replacement_name(const string& stem, const string& function) {
  string prefix = stem;
  std::ranges::replace_if(
      prefix, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return fmt::format("klp_{}_{}", prefix, function);
}

string patch_table(const std::vector<TableRow>& functions, bool declare) {
  string declarations, rows;
  for (const TableRow& function : functions) {
    if (declare) declarations += fmt::format("extern void {}(void);\n", function.replacement);
    rows += fmt::format("\t{{ {}{}, \"{}\", \"{}\", {} }},\n", declare ? "" : "(void *)", function.replacement,
                        function.name, function.owner, function.position);
  }
  return fmt::format(
      "struct kpatch_func {{\n"
      "\tvoid *new_func;\n"
      "\tconst char *old_name;\n"
      "\tconst char *object_name;\t/* \"vmlinux\", or a module's name */\n"
      "\tunsigned long sympos;\t\t/* which of several of that name; 0: there is one */\n"
      "}};\n"
      "\n"
      "{}{}"
      "static const struct kpatch_func funcs[]\n"
      "__attribute__((used, section(\".kpatch.funcs\"), aligned(8))) = {{\n"
      "{}"
      "}};\n",
      declarations, declare ? "\n" : "", rows);
}

std::vector<fs::path> compile_livepatch(Workshop& workshop, const ModulePlan& plan, const fs::path& folder) {
  Linkage linkage(workshop, plan.symbols_file);
  std::vector<fs::path> objects;
  // The compiler sees copies in one folder: what it writes of their names says nothing of this machine's.
  for (const ModulePart& part : plan.parts) {
    const string name = part.file.filename().string();
    if (folder / name != part.file) write_file(folder / name, read_file(part.file), Flush::no);
    objects.push_back(folder / (part.file.stem().string() + ".o"));
    workshop.compile(
        part.table ? table_words(part.command, folder / name) : livepatch_words(part.command, folder / name),
        objects.back(), name);
    linkage.add(objects.back(), name, part.owner);
  }
  const std::map<string, string> patched = linkage.settle(plan.symbols);
  if (!patched.empty() || !linkage.namespaces().empty()) {
    objects.push_back(folder / "symbols.o");
    write_side_table(plan.symbols, patched, linkage.namespaces(), *workshop.base().arch, objects.back());
  }
  return objects;
}

fs::path build_livepatch(Workshop& workshop, const ModulePlan& plan) {
  const fs::path scratch = workshop.scratch() / "livepatch";
  remove_tree(scratch);
  fs::create_directories(scratch);
  ModuleInput input;
  input.name = plan.name;
  input.replace = false;
  input.diff_objects = compile_livepatch(workshop, plan, scratch);
  std::vector<string> objects;
  for (const ModulePart& part : plan.parts)
    if (!part.table) objects.push_back(part.owner);
  std::ranges::sort(objects);
  objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
  input.info = {{"description", fmt::format("Livepatch of {}", joined(objects, ", "))}};
  input.info.insert(input.info.end(), plan.info.begin(), plan.info.end());
  input.info.emplace_back("kpatch_release", workshop.base().release);
  Result<fs::path> module = build_module(input, workshop.base(), scratch / "module", workshop.executor());
  std::vector<Finding> findings = std::move(module.findings);
  if (!module.value) {
    report(workshop.console(), std::move(findings));
    throw Error(fmt::format("{}.ko: the kernel's build made no module", plan.name));
  }
  fs::path linked = scratch / (plan.name + ".ko");
  finish_module(*module.value, linked, workshop.base(), workshop.shipped());
  for (Finding& finding : audited(workshop, linked, plan.name)) findings.push_back(std::move(finding));
  report(workshop.console(), std::move(findings));
  return linked;
}

}  // namespace kpatch
