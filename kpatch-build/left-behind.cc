// Two changes show in no object that a patch touches:
//
//   arch/x86/kernel/uprobes.c                       kernel/events/uprobes.c
//   - bool arch_uretprobe_is_alive(…) { … }         bool __weak arch_uretprobe_is_alive(…) { return true; }
//
// the linker would take the weak one now, while the kernel that runs goes on with the other; and
//
//   - int swsusp_save(void)                         call swsusp_save        (hibernate_asm_64.S)
//   + int swsusp_save(int how)
//
// assembly, which no compiler tells that it passes too little. So where a global function vanishes, the sources of the
// kernel are looked through for a weak definition of its name; where one changes its prototype, those of the
// architecture's assembly for its name.
#include "kpatch-build/left-behind.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "kbuild/kbuild.h"
#include "support/error.h"
#include "support/files.h"

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
  if (!prototypes.empty()) find_assembly(std::move(prototypes), sources);
}

}  // namespace kpatch
