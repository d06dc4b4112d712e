// arch/x86/kvm/Makefile builds `arch/x86/kvm/../../../virt/kvm/kvm_main.o`: from virt/kvm nothing leads there, so the
// words of all Makefiles that name an object of another folder are collected. It is a hint where to ask kbuild, not the
// answer: a word too many costs a question, and one too few leads to the list of the whole kernel.
#include "kbuild/foreign-objects.h"

#include <fmt/format.h>

#include <cctype>
#include <set>

#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

bool is_makefile(std::string_view name) {
  return name == "Makefile" || name == "Kbuild" || name.starts_with("Makefile.") || name.starts_with("Kbuild.");
}

}  // namespace

std::multimap<std::string, std::string> foreign_objects(const Base& base, const fs::path& memo) {
  std::error_code error;
  std::string lines;
  if (fs::exists(memo, error)) {
    lines = read_file(memo);
  } else {
    std::set<std::string> found;
    walk(base.source, [&](const fs::directory_entry& entry) {
      std::string name = entry.path().filename().string();
      if (entry.is_directory(error)) {
        std::string at = entry.path().lexically_relative(base.source).string();
        bool other = fs::path(at).parent_path() == "arch" && !fs::exists(base.kbuild / at, error);
        return !other && at != "tools" && at != "Documentation" && at != "scripts";
      }
      if (!is_makefile(name)) return false;
      bool included = name != "Makefile" && name != "Kbuild";
      std::string folder = included ? "." : entry.path().parent_path().lexically_relative(base.source).string();
      std::string text = read_file(entry.path());
      for (size_t end = 0; (end = text.find(".o", end)) != std::string::npos; end += 2) {
        if (end + 2 < text.size() && !std::isspace(static_cast<unsigned char>(text[end + 2])) && text[end + 2] != ')' &&
            text[end + 2] != '\\')
          continue;
        size_t start = text.find_last_of(" \t\n=,", end) + 1;  // npos + 1 is 0
        std::string_view word = std::string_view(text).substr(start, end - start);
        if (word.starts_with("$(obj)/")) word.remove_prefix(7);
        size_t slash = word.rfind('/');
        if (slash == std::string_view::npos && !included) continue;
        word.remove_prefix(slash + 1);
        found.insert(fmt::format("{}\t{}\n", word, folder));
      }
      return false;
    });
    for (auto& line : found) lines += line;
    write_file(memo, lines);
  }
  std::multimap<std::string, std::string> result;
  for (std::string_view line : lines_of(lines)) {
    const auto fields = fields_of(line, '\t');
    if (fields.size() == 2) result.emplace(fields[0], fields[1]);
  }
  return result;
}

}  // namespace kpatch
