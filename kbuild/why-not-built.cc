// Naming the option that a person must look at
//
// fs/jfs/jfs_umount.c is not built. The reason stands in Makefiles, by names alone:
//
//     fs/Makefile:      obj-$(CONFIG_JFS_FS) += jfs/
//     fs/jfs/Makefile:  obj-$(CONFIG_JFS_FS) += jfs.o
//                       jfs-y := super.o file.o … jfs_umount.o
//
// From the object upwards: the line that holds its name says which option or which composite object it belongs to, a
// composite is looked for in turn, and the folder's name in the Makefile above. This serves a message only: kbuild
// has decided already, so a line that this reading misses costs nothing but the option's name.
#include "kbuild/why-not-built.h"

#include <algorithm>
#include <vector>

#include "kernel/kernel.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

struct Assignment {
  std::string variable;  // "obj-$(CONFIG_JFS_FS)", "jfs-y"
  std::vector<std::string> words;
};

std::vector<Assignment> read_makefile(const fs::path& folder) {
  for (const char* name : {"Kbuild", "Makefile"}) {
    const std::string text = read_file_if_any(folder / name);
    if (text.empty()) continue;
    std::vector<Assignment> result;
    std::string line;
    for (const std::string_view next : lines_of(text)) {
      line += next;
      if (line.ends_with('\\')) {
        line.back() = ' ';
        continue;
      }
      const size_t equals = line.find('=');
      if (equals != std::string::npos && !line.starts_with('#')) {
        Assignment a;
        const size_t end = line.find_last_not_of(" \t:+?", equals - (equals > 0));
        if (end != std::string::npos) a.variable = line.substr(0, end + 1);
        for (const std::string_view word : words_of(std::string_view(line).substr(equals + 1)))
          a.words.emplace_back(word);
        result.push_back(std::move(a));
      }
      line.clear();
    }
    return result;
  }
  return {};
}

// Without CONFIG_.
std::optional<std::string> option_of(const std::string& variable) {
  constexpr std::string_view prefix = "$(CONFIG_";
  const size_t start = variable.find(prefix);
  if (start == std::string::npos) return std::nullopt;
  const size_t end = variable.find(')', start);
  if (end == std::string::npos) return std::nullopt;
  return variable.substr(start + prefix.size(), end - start - prefix.size());
}

std::string stem_of(const std::string& variable) { return variable.substr(0, variable.rfind('-', variable.find('$'))); }

class Search {
 public:
  Search(const fs::path& source, const KernelConfig& config) : source_(source), config_(config) {}

  // word: an object or folder as the Makefile in `folder` names it.
  std::optional<std::string> run(const fs::path& folder, const std::string& word, unsigned depth = 0) {
    if (depth > 16) return std::nullopt;
    for (const Assignment& a : read_makefile(source_ / folder)) {
      bool names = false;
      for (const std::string& w : a.words) names |= w == word || w + "/" == word;
      if (!names) continue;
      if (const auto option = option_of(a.variable); option && !config_.enabled(*option)) return "CONFIG_" + *option;
      const std::string stem = stem_of(a.variable);
      if (stem.empty() || stem == "obj" || stem == "lib") continue;
      if (auto found = run(folder, stem + ".o", depth + 1)) return found;
    }
    if (folder.empty() || word.ends_with('/')) return std::nullopt;
    // Up, folder by folder; one Makefile may name several at once ("gpu/drm/").
    std::string below;
    for (fs::path up = folder; !up.empty(); up = up.parent_path()) {
      below = up.filename().string() + "/" + below;
      if (auto found = run(up.parent_path(), below, depth + 1)) return found;
    }
    return std::nullopt;
  }

 private:
  fs::path source_;
  const KernelConfig& config_;
};

}  // namespace

std::optional<std::string> missing_option(const fs::path& source, const fs::path& config, std::string_view file) {
  const fs::path path(file);
  return Search(source, KernelConfig::read(config)).run(path.parent_path(), path.stem().string() + ".o");
}

bool is_host_program(const fs::path& source, std::string_view file) {
  const fs::path path(file);
  for (const Assignment& a : read_makefile(source / path.parent_path()))
    if (a.variable.starts_with("hostprogs") && std::ranges::find(a.words, path.stem().string()) != a.words.end())
      return true;
  return false;
}

}  // namespace kpatch
