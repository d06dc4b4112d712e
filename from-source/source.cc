// From the functions that a patch changes to a source that can be compiled alone
//
//     static int helper(…)  changed;   inlined into show and store        show and store are replaced, helper is copied
//     static int probe(…)   changed;   its code is probe.isra.0           its callers are replaced
//     static int other(…)   called;    has code of its own                declared: the kernel's is called
//     static int tiny(…)    called;    gcc inlined it into show           copied
//     static int count      used                                          declared: the kernel's is used
//     static int added      new                                           copied
//
// The object that the kernel's compiler makes of the original decides all that (object-facts.h), and the shipped file
// says whether a function can be replaced: it needs an ftrace site. What the text declares and doesn't define (exports,
// other files' functions, names in assembly) is settled afterwards, by what the compiled source leaves undefined: so
// the names are the assembler's, not C's.
#include "from-source/source.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <set>

#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

constexpr std::string_view this_module = "__this_module";

namespace fs = std::filesystem;
using std::string;
using std::string_view;

// Where a static variable lies whose loss is none: each copy of a message once more, descriptions of places in code.
bool describes_code(string_view section) {
  for (const string_view plain : {".data", ".bss", ".rodata", ".sdata", ".sbss"}) {
    if (!section.starts_with(plain)) continue;
    return section.starts_with(".data..once") || section.starts_with(".data.once");
  }
  return true;
}

class SourceMaker {
 public:
  SourceMaker(Workshop& workshop, const SourcePair& pair, const std::vector<string>& functions, const string& stem,
              Bindings& bindings, const std::set<string>& copy)
      : workshop_(workshop),
        pair_(pair),
        functions_(functions),
        stem_(stem),
        bindings_(bindings),
        copy_(copy),
        facts_(workshop.original_object(pair.command)),
        shipped_(workshop.running(pair.command.module)),
        changes_(SourceUnit::changes(pair.original, pair.patched)) {
    for (const Subject& function : pair.original.functions()) original_functions_.insert(function.name);
    for (const Subject& function : pair.patched.functions()) patched_functions_.insert(function.name);
  }

  LivepatchSource run() {
    result_.findings = judge_changes(changes_, path());
    std::set<string> changed;
    for (const string& name : functions_) add_asked(name, changed);
    for (const Subject& subject : changes_.functions) {
      if (!changed.insert(subject.name).second) continue;
      note("not-listed", subject.name, "is changed by the patch and not listed; it is taken as well");
    }
    if (!facts_.has_debug_info())
      refuse("no-dwarf", {}, "the kernel is compiled without debug information, so that inlined copies can't be told");
    for (const string& name : changed) climb(name);
    if (replaced_.empty() && !refused()) refuse("nothing", {}, "no function of the source is replaced");
    if (refused()) return std::move(result_);
    extract();
    if (!result_.text.empty()) settle_undefined();
    if (refused()) result_.text.clear();
    return std::move(result_);
  }

 private:
  // --- findings ---

  bool refused() const {
    return std::ranges::any_of(result_.findings, [](const Finding& f) { return f.severity == Severity::refusal; });
  }
  void say(Severity severity, string_view rule, const string& function, string message, string advice) {
    result_.findings.push_back(
        {string(rule), severity, {.source = path(), .function = function}, std::move(message), std::move(advice)});
  }
  void refuse(string_view rule, const string& function, string message, string advice = {}) {
    say(Severity::refusal, rule, function, std::move(message), std::move(advice));
  }
  void note(string_view rule, const string& function, string message) {
    say(Severity::warning, rule, function, std::move(message), {});
  }

  // --- which functions are replaced ---

  void add_asked(const string& name, std::set<string>& changed) {
    if (!patched_functions_.contains(name))
      return refuse("no-function", name, "the source has no such function",
                    "a system call foo(…) is called __do_sys_foo here");
    // A new one comes with those that use it.
    if (original_functions_.contains(name)) changed.insert(name);
  }

  // Replaces the function, and where its code stands elsewhere, those that hold it.
  void climb(const string& name) {
    if (!climbed_.insert(name).second) return;
    const BinarySymbol* own = facts_.function(name);
    const Redirected redirected = own == nullptr ? Redirected::no_site : replace(name, *own);
    if (redirected == Redirected::never) return;
    std::vector<string> above = facts_.inlined_into(name);
    for (const string& user : facts_.users_of_clones(name, redirected == Redirected::no_site)) above.push_back(user);
    copied_.insert(name);
    // Of a header, and not used here.
    if (redirected == Redirected::no_site && above.empty() && own == nullptr &&
        std::ranges::find(functions_, name) == functions_.end())
      return;
    if (redirected == Redirected::no_site && above.empty())
      refuse("no-code", name, "can't be redirected: it has no code of its own or no ftrace site, and nobody calls it");
    for (const string& other : above) {
      if (climbed_.contains(other)) continue;
      result_.climbed.emplace(other, name);
      note("climbs", other, fmt::format("is replaced as well: {} can't be redirected everywhere itself", name));
      climb(other);
    }
  }

  enum class Redirected : uint8_t { yes, no_site, never };

  Redirected replace(const string& name, const BinarySymbol& own) {
    if (pair_.patched.variadic(name)) {
      refuse("variadic", name, "takes a variable number of arguments, which a replacement can't take over",
             "change its callers, or what it calls");
      return Redirected::never;
    }
    const uint32_t index = shipped_symbol(shipped_, facts_, own, file_name(), pair_.owner);
    const BinarySymbol& symbol = shipped_.symbols()[index];
    if (shipped_.forgotten_after_init(symbol)) {
      refuse("init-code", name, "is init code, which is gone when a livepatch is loaded");
      return Redirected::never;
    }
    // `inline` is notrace as well: __do_sys_foo, which gcc didn't inline.
    if (!symbol.has_ftrace_site) return Redirected::no_site;
    replaced_.emplace(name, shipped_.sympos(index));
    return Redirected::yes;
  }

  string file_name() const { return fs::path(path()).filename().string(); }
  const string& path() const { return pair_.command.source; }

  // --- what becomes of the rest ---

  Treatment decide(const Subject& subject) {
    if (subject.kind == Subject::Kind::function) return decide_function(subject);
    return subject.function.empty() ? decide_variable(subject) : decide_local(subject);
  }

  Treatment decide_function(const Subject& subject) {
    const BinarySymbol* own = facts_.function(subject.symbol);
    const bool copied = own == nullptr || copied_.contains(subject.name) || copy_.contains(subject.name) ||
                        !original_functions_.contains(subject.name) ||
                        std::ranges::any_of(copied_, [&](const string& f) { return facts_.inlines(f, subject.name); });
    if (!copied) return bound(subject, *own);
    copied_.insert(subject.name);
    // A global one is there already, for all others: where the copy is inlined everywhere nothing of it is left.
    const bool global = !subject.internal && own != nullptr;
    return {true, global ? fmt::format("{}.klp.{}", subject.name, stem_) : string(), global};
  }

  Treatment decide_variable(const Subject& subject) {
    const BinarySymbol* own = facts_.variable(subject.symbol);
    if (own == nullptr || (subject.scalar_constant && subject.internal)) return {};
    if (own->binding == SymbolBinding::local && describes_code(facts_.section_of(*own))) return {};
    return bound(subject, *own);
  }

  Treatment decide_local(const Subject& subject) {
    std::vector<LocalVariable> known = facts_.locals(subject.function, subject.name);
    if (known.empty() || subject.scalar_constant) return {};
    if (known.size() > 1) std::erase_if(known, [&](const LocalVariable& v) { return v.line != subject.location.line; });
    const BinarySymbol* own = known.empty() ? nullptr : facts_.variable(known.front().symbol);
    if (own != nullptr && describes_code(facts_.section_of(*own))) return {};
    if (known.empty() && !original_functions_.contains(subject.function)) return {};
    if (known.size() != 1 || own == nullptr) {
      if (known.empty() && !subject.writable) return {};
      refuse("ambiguous-local", subject.function,
             fmt::format("has several static variables {}, and it can't be told which of them this is", subject.name));
      return {};
    }
    return bound(subject, *own);
  }

  // The kernel's.
  Treatment bound(const Subject& subject, const BinarySymbol& own) {
    try {
      const uint32_t index = shipped_symbol(shipped_, facts_, own, file_name(), pair_.owner);
      const BinarySymbol& symbol = shipped_.symbols()[index];
      if (shipped_.forgotten_after_init(symbol)) {
        refuse("init-code", subject.name, "is only there while the kernel starts, and the livepatch would use it");
        return {};
      }
      if (own.binding != SymbolBinding::local && exported(own.name)) return {false, {}};
      const string placeholder = bindings_.bind(
          {.name = string(own.name), .position = shipped_.sympos(index), .owner = pair_.owner}, pair_.owner, stem_);
      return {false, placeholder == subject.name ? string() : placeholder};
    } catch (const Error& error) {
      refuse("ambiguous", subject.name, error.what());
      return {};
    }
  }

  // By vmlinux: an ordinary reference will do.
  bool exported(string_view name) const {
    const Export* found = workshop_.symvers().find(name);
    return found != nullptr && found->owner == "vmlinux";
  }

  void extract() {
    ExtractRequest request;
    for (const auto& [name, position] : replaced_) {
      request.functions.insert(name);
      result_.replaced.push_back({name, position});
    }
    string list;
    for (const auto& [name, position] : replaced_) list += (list.empty() ? "" : ", ") + name;
    request.heading = fmt::format(
        "SPDX-License-Identifier: GPL-2.0\n *\n * From {} of {}, patched: {}.\n"
        " * Preprocessed already: macros are expanded, and no header is read.",
        path(), pair_.owner, list);
    result_.heading = request.heading;
    string prefix = stem_;
    std::ranges::replace_if(
        prefix, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
    request.alias_prefix = fmt::format("klp_{}_", prefix);
    request.decide = [this](const Subject& subject) { return decide(subject); };
    Extraction extraction = pair_.patched.extract(request);
    for (Finding& finding : extraction.findings) result_.findings.push_back(std::move(finding));
    find_unused(extraction);
    result_.copied = std::move(extraction.copied);
    if (!refused()) result_.text = std::move(extraction.text);
    bind_this_module();
  }

  // THIS_MODULE is that of the code that is patched: the livepatch has one of its own, by the same name.
  void bind_this_module() {
    constexpr string_view declared = "extern struct module __this_module";  // include/linux/export.h, init.h
    const size_t at = result_.text.find(fmt::format("{};", declared));
    const auto found = shipped_.named(this_module);
    if (pair_.owner == "vmlinux" || at == string::npos || found.empty()) return;
    bindings_.reserve(string(this_module));
    const string placeholder = bindings_.bind(
        {.name = string(this_module), .position = shipped_.sympos(found[0]), .owner = pair_.owner}, pair_.owner, stem_);
    result_.text.insert(at + declared.size(), fmt::format(" asm(\"{}\")", placeholder));
  }

  // What is new and nobody patched refers to would do nothing: a parameter, an initcall. What a header brings for all
  // that include it need not be used: DEFINE_LOCK_GUARD_0(console_lock, …) makes class_console_lock_is_conditional.
  void find_unused(const Extraction& extraction) {
    const auto left = [&](const Subject& subject) {
      const bool of_header = subject.internal && fs::path(subject.location.source).extension() == ".h";
      return !of_header && !std::ranges::binary_search(extraction.copied, subject.name);
    };
    for (const Subject& variable : changes_.new_variables)
      if (left(variable))
        refuse("new-unused", variable.name,
               "is a new variable that no replaced function uses: what finds it elsewhere (a module parameter, an "
               "initcall, an export) has been read when a livepatch comes");
    for (const Subject& function : changes_.new_functions)
      if (left(function) && !replaced_.contains(function.name))
        note("new-unused", function.name, "is a new function that no replaced function uses; it is left out");
  }

  // --- names that the text only declares ---

  void settle_undefined() {
    const fs::path file = workshop_.scratch() / (stem_ + ".c"), object = workshop_.scratch() / (stem_ + ".o");
    write_file(file, result_.text, Flush::no);
    workshop_.compile(livepatch_words(pair_.command, file), object, stem_ + ".c");
    const Binary compiled = Binary::open(object);
    std::set<string> names;
    for (const BinarySymbol& symbol : compiled.symbols())
      if (!symbol.defined() && !symbol.name.empty()) names.emplace(symbol.name);
    for (const string& name : names) settle(name);
  }

  void settle(const string& name) {
    if (bindings_.knows(name) || name == this_module || name == "_GLOBAL_OFFSET_TABLE_") return;
    if (bindings_.shares(name)) return void(result_.shared.insert(name));
    if (exported(name)) return bindings_.reserve(name);
    const auto bind_in = [&](const Binary& binary, const string& owner) {
      for (const uint32_t index : binary.named(name)) {
        if (binary.symbols()[index].binding == SymbolBinding::local) continue;
        if (binary.forgotten_after_init(binary.symbols()[index]))
          return refuse("init-code", name, "is only there while the kernel starts, and the livepatch would use it"),
                 true;
        bindings_.bind({.name = name, .position = binary.sympos(index), .owner = owner}, pair_.owner, stem_, true);
        return true;
      }
      return false;
    };
    if (pair_.owner != "vmlinux" && bind_in(shipped_, pair_.owner)) return;
    if (bind_in(workshop_.shipped().object(""), "vmlinux")) return;
    if (const Export* found = workshop_.symvers().find(name)) {
      const string owner = module_name_of(found->owner);
      const Binary* module = workshop_.shipped().named(owner);
      if (module != nullptr && bind_in(*module, owner)) return;
    }
    note("undefined", name, "is defined by nobody known: by another source of this livepatch, or step 2 will fail");
  }

  Workshop& workshop_;
  const SourcePair& pair_;
  const std::vector<string>& functions_;
  const string& stem_;
  Bindings& bindings_;
  const std::set<string>& copy_;
  ObjectFacts facts_;
  const Binary& shipped_;
  UnitChanges changes_;
  LivepatchSource result_;
  std::set<string> original_functions_, patched_functions_;
  std::set<string> climbed_, copied_;
  std::map<string, unsigned> replaced_;  // name and sympos
};

}  // namespace

string owner_of(const CompileCommand& command) {
  return command.module.empty() ? "vmlinux" : module_name_of(command.module);
}

SourcePair read_pair(Workshop& workshop, const CompileCommand& command, const AppliedPatches& patches) {
  const fs::path scratch = workshop.scratch() / "pair";
  remove_tree(scratch);
  fs::create_directories(scratch);
  PatchedView view(workshop.base().source, scratch / "view", patches);
  view.make_real(command.source);
  return read_pair(workshop, command, view);
}

SourcePair read_pair(Workshop& workshop, const CompileCommand& command, PatchedView& view) {
  const auto unit = [&](Variant variant, const fs::path& root) {
    const std::vector<string> words = workshop.words(command, variant, view);
    string text = preprocess(words, workshop.base().kbuild, workshop.scratch() / "unit.i", workshop.executor());
    return SourceUnit(std::move(text), words,
                      {root.string(), workshop.base().source.string(), workshop.base().kbuild.string()});
  };
  SourceUnit original = unit(Variant::original, workshop.base().source);
  SourceUnit patched = unit(Variant::patched, view.root());
  return {command, owner_of(command), std::move(original), std::move(patched)};
}

std::vector<Finding> judge_changes(const UnitChanges& changes, const string& source) {
  std::vector<Finding> findings;
  for (const Subject& variable : changes.variables)
    findings.push_back({"data-init", Severity::refusal, variable.location,
                        "has another type or initial value with the patch, and the kernel has it already",
                        "set it in a callback, or where it is used"});
  for (const Location& other : changes.others)
    findings.push_back({"new-declaration",
                        Severity::refusal,
                        other,
                        fmt::format("is new in {}, and neither function, variable nor type: an export, an initcall or "
                                    "assembly, which a livepatch can't add",
                                    source),
                        {}});
  return findings;
}

LivepatchSource make_source(Workshop& workshop, const SourcePair& pair, const std::vector<string>& functions,
                            const string& stem, Bindings& bindings, const std::set<string>& copy) {
  return SourceMaker(workshop, pair, functions, stem, bindings, copy).run();
}

std::vector<string> livepatch_words(const CompileCommand& command, const fs::path& file) {
  std::vector<string> words = bare_command(command.arguments);
  words.pop_back();
  for (size_t i = 0; i + 1 < words.size();) {
    if (words[i] == "-include")
      words.erase(words.begin() + static_cast<std::ptrdiff_t>(i), words.begin() + static_cast<std::ptrdiff_t>(i) + 2);
    else
      ++i;
  }
  words.insert(words.end(), {"-fpreprocessed", "-ffunction-sections", "-fdata-sections", "-g0", "-Wno-unused-function",
                             "-Wno-misleading-indentation", file.string()});
  return words;
}

}  // namespace kpatch
