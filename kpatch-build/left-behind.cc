// Three changes show in no object that a patch touches:
//
//   arch/x86/kernel/uprobes.c                       kernel/events/uprobes.c
//   - bool arch_uretprobe_is_alive(…) { … }         bool __weak arch_uretprobe_is_alive(…) { return true; }
//
// the linker would take the weak one now, while the kernel that runs goes on with the other; and
//
//   - int swsusp_save(void)                         call swsusp_save        (hibernate_asm_64.S)
//   + int swsusp_save(int how)
//
// assembly, which no compiler tells that it passes too little; and
//
//   - void ovs_dp_notify_wq(struct work_struct *)   INIT_WORK(&net->dp_notify_work, ovs_dp_notify_wq);   (datapath.c)
//   + void ovs_dp_notify_wq(struct rcu_head *)
//
// another file, which handed the function out: what is under way is called as it was declared then. So where a global
// function vanishes, the sources of the kernel are looked through for a weak definition of its name; where one changes its
// prototype, those of the architecture's assembly for its name, and all for where it is taken as a value.
#include "kpatch-build/left-behind.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "kbuild/kbuild.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

using Names = std::map<std::string, PairReport*, std::less<>>;

// Which of the names a text has as words.
std::set<std::string> mentioned(std::string_view text, const Names& names) {
  std::set<std::string> found;
  for (const auto& [name, report] : names)
    for (size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
      const size_t end = at + name.size();
      if ((at > 0 && continues_word(text[at - 1])) || (end < text.size() && continues_word(text[end]))) continue;
      found.insert(name);
      break;
    }
  return found;
}

// Which of the names the text defines as weak functions: `bool __weak f(…) { … }`.
std::set<std::string> weak_definitions(std::string_view text, const Names& names) {
  std::set<std::string> found;
  bool weak = false;
  std::string named;  // the function of the declaration that is being read
  unsigned depth = 0;
  Lexer lexer(text);
  for (Lexer::Token token = lexer.next(), next; !token.text.empty(); token = next) {
    next = lexer.next();
    if (token.text == "{" && depth++ == 0 && weak && !named.empty()) found.insert(named);
    if (token.text == "}" && depth > 0) --depth;
    if (depth == 0 && (token.text == ";" || token.text == "}")) weak = false, named.clear();
    if (depth > 0) continue;
    if (token.text == "__weak" || token.text == "__weak__" || token.text == "weak") weak = true;
    if (named.empty() && next.text == "(" && names.contains(token.text)) named = token.text;
  }
  return found;
}

void find_weak_ones(Names vanished, const PatchedSources& sources) {
  for (const std::string& source : sources.built()) {
    const std::string text = read_file_if_any(sources.view / source);
    if (text.find("weak") == std::string::npos || mentioned(text, vanished).empty()) continue;
    for (const std::string& name : weak_definitions(text, vanished)) {
      refuse(*vanished.find(name)->second, "weak", name,
             fmt::format("is gone, and {} has a weak function of that name, which a kernel built with the patch would "
                         "take; the one that runs keeps this one",
                         source),
             "keep the function, and let it do what the weak one does");
      vanished.erase(name);
    }
  }
}

void find_assembly(Names prototypes, const PatchedSources& sources) {
  std::vector<std::string> files;  // of the source: a view's folders are links
  walk(sources.source / "arch" / sources.arch_folder, [&](const fs::directory_entry& entry) {
    const fs::path& file = entry.path();
    if (file.extension() == ".S" && !file.stem().string().ends_with("_32"))
      files.push_back(file.lexically_relative(sources.source).string());
    return true;
  });
  for (const std::string& file : files) {
    for (const std::string& name : mentioned(read_file_if_any(sources.view / file), prototypes)) {
      refuse(*prototypes.find(name)->second, "assembly-caller", name,
             fmt::format("has another prototype, and {} names it: assembly passes what it passed before", file),
             "add a function, and leave this one as it is");
      prototypes.erase(name);
    }
  }
}

bool is_word(std::string_view token) { return !token.empty() && continues_word(token.front()); }

// Which of the names the text takes as values: handed to somebody, or stored. A file that has a variable or a function
// of such a name means that. What macros like EXPORT_SYMBOL() are told is no value.
std::set<std::string> taken_as_values(std::string_view text, const Names& names) {
  std::set<std::string> taken, its_own;
  std::string named;  // the function of the declaration that is being read
  unsigned depth = 0;
  Lexer lexer(text);
  std::string_view before_last, last;
  for (Lexer::Token token = lexer.next(), next; !token.text.empty(); token = next) {
    next = lexer.next();
    if (token.text == "{" && depth++ == 0 && !named.empty()) its_own.insert(named);
    if (token.text == "}" && depth > 0) --depth;
    if (depth == 0 && (token.text == ";" || token.text == "}")) named.clear();
    if (depth == 0 && named.empty() && next.text == "(" && names.contains(token.text)) named = token.text;
    const bool of_member = last == "." || last == "->" || (before_last == "-" && last == ">");
    if (names.contains(token.text) && next.text != "(" && !of_member) {
      const bool of_macro =
          last == "(" && (before_last.starts_with("EXPORT_SYMBOL") || before_last == "sizeof" ||
                          before_last == "NOKPROBE_SYMBOL" || before_last == "typeof" ||
                          before_last == "ALLOW_ERROR_INJECTION" || before_last == "STACK_FRAME_NON_STANDARD");
      const bool of_list = last == "," && before_last == "func";  // BTF_ID(func, f), which has a rule of its own
      if (last == "*" || (is_word(last) && last != "return" && last != "else" && last != "case"))
        its_own.emplace(token.text);
      else if (!of_macro && !of_list)
        taken.emplace(token.text);
    }
    before_last = last;
    last = token.text;
  }
  for (const std::string& name : its_own) taken.erase(name);
  return taken;
}

void find_pointers(const Names& prototypes, const PatchedSources& sources) {
  std::map<std::string, std::vector<std::string>> holders;
  for (const std::string& source : sources.built()) {
    const std::string text = read_file_if_any(sources.source / source);  // what it handed out until now
    if (mentioned(text, prototypes).empty()) continue;
    for (const std::string& name : taken_as_values(text, prototypes)) holders[name].push_back(source);
  }
  for (const auto& [function, files] : holders) {
    const std::string& name = function;
    PairReport& report = *prototypes.find(name)->second;
    // Its own object told of it (rule data-layout of create-diff-object).
    const auto told = [&](const Finding& f) { return f.rule == "data-layout" && f.location.function == name; };
    if (std::ranges::any_of(report.findings, told)) continue;
    report.findings.push_back(
        {"data-layout",
         sources.layout_acknowledged ? Severity::warning : Severity::refusal,
         {.source = report.pair.command.source, .function = name},
         fmt::format(
             "has another prototype, and {} hands it out as a pointer: what still calls it so, when the livepatch "
             "comes or goes, calls it as the old one",
             some_of(files)),
         "give the new function a name of its own, and leave the old one as it is"});
  }
}

}  // namespace

void check_left_behind(std::vector<PairReport>& reports, const PatchedSources& sources) {
  std::set<std::string, std::less<>> defined;  // by another object of the patch
  for (const PairReport& report : reports) defined.insert(report.globals.begin(), report.globals.end());
  Names vanished, prototypes;
  for (PairReport& report : reports) {
    for (const std::string& name : report.vanished)
      if (!defined.contains(name)) vanished.emplace(name, &report);
    for (const std::string& name : report.prototypes) prototypes.emplace(name, &report);
  }
  if (!vanished.empty()) find_weak_ones(std::move(vanished), sources);
  if (prototypes.empty()) return;
  find_pointers(prototypes, sources);
  find_assembly(std::move(prototypes), sources);
}

}  // namespace kpatch
