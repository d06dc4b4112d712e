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

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <vector>

namespace kpatch {
namespace {

namespace fs = std::filesystem;

struct Assignment {
  std::string variable;  // "obj-$(CONFIG_JFS_FS)", "jfs-y"
  std::vector<std::string> words;
};

std::vector<Assignment> read_makefile(const fs::path& folder) {
  for (const char* name : {"Kbuild", "Makefile"}) {
    std::ifstream in(folder / name);
    if (!in) continue;
    std::vector<Assignment> result;
    std::string line;
    for (std::string next; std::getline(in, next);) {
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
        std::istringstream words(line.substr(equals + 1));
        a.words.assign(std::istream_iterator<std::string>(words), {});
        result.push_back(std::move(a));
      }
      line.clear();
    }
    return result;
  }
  return {};
}

std::set<std::string> enabled_options(const fs::path& config) {
  std::set<std::string> enabled;
  std::ifstream in(config);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("CONFIG_")) enabled.insert(line.substr(0, line.find('=')));
  }
  return enabled;
}

std::optional<std::string> option_of(const std::string& variable) {
  const size_t start = variable.find("$(CONFIG_");
  if (start == std::string::npos) return std::nullopt;
  const size_t end = variable.find(')', start);
  if (end == std::string::npos) return std::nullopt;
  return variable.substr(start + 2, end - start - 2);
}

std::string stem_of(const std::string& variable) { return variable.substr(0, variable.rfind('-', variable.find('$'))); }

class Search {
 public:
  Search(const fs::path& source, std::set<std::string> enabled) : source_(source), enabled_(std::move(enabled)) {}

  // word: an object or folder as the Makefile in `folder` names it.
  std::optional<std::string> run(const fs::path& folder, const std::string& word, unsigned depth = 0) {
    if (depth > 16) return std::nullopt;
    for (const Assignment& a : read_makefile(source_ / folder)) {
      bool names = false;
      for (const std::string& w : a.words) names |= w == word || w + "/" == word;
      if (!names) continue;
      if (const auto option = option_of(a.variable); option && !enabled_.contains(*option)) return option;
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
  std::set<std::string> enabled_;
};

}  // namespace

std::optional<std::string> missing_option(const fs::path& source, const fs::path& config, std::string_view file) {
  const fs::path path(file);
  return Search(source, enabled_options(config)).run(path.parent_path(), path.stem().string() + ".o");
}

}  // namespace kpatch
