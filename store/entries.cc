// Entries of a worker's cache, for the others
//
//     STORE/entries/NAME     key, directory, and files: entry.tar.zst → SHA256; signed
//
//     base        config, kbuild/     12 MB, a packed 2 MB; 40 s to make
//     toolchain   root/, root.sum     350 MB and more
//     vmlinux     index
//
// A base can't be moved: kbuild has written down where it lies, and where the source and the compiler do.
//
//     kbuild/Makefile                            include /srv/a/kpatch/source/5e70…/tree/Makefile
//     kbuild/source                              → /srv/a/kpatch/source/5e70…/tree
//     kbuild/scripts/mod/.modpost.o.cmd          deps: /srv/a/kpatch/source/…/scripts/mod/modpost.h …
//     kbuild/tools/objtool/objtool               __FILE__ in a message
//
// Where another cache lies elsewhere, those three paths are replaced in what is text and in links, with time stamps left as
// they are. What comes out is, byte for byte, the base that would have been made there, but for the paths in host programs
// (objtool, kconfig's conf), their objects, and the debug information of scripts/mod/empty.o, which nothing of a build reads.
// (6.12.117: 80 of 3288 files rewritten, 30 left.) So an entry's name is of its key without those paths.
//
// Such programs run on whoever fetches them. The owner's signature says that they may; all the same nothing is unpacked but
// what an entry of the kind has, and it becomes ours, without setuid; links lead into the base or to its source.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "store/store.h"
#include "support/archive.h"
#include "support/error.h"
#include "support/files.h"
#include "support/pack.h"
#include "support/sha256.h"
#include "support/text.h"

namespace kpatch {
namespace {

using nlohmann::json;
using std::string_view;
namespace fs = std::filesystem;

constexpr const char* packed = "entry.tar.zst";

struct Part {
  string_view name;
  bool folder;
};
struct Kind {
  string_view name;
  std::array<Part, 2> parts;
};
constexpr std::array kinds = {Kind{"base", {{{"config", false}, {"kbuild", true}}}},
                              Kind{"toolchain", {{{"root", true}, {"root.sum", false}}}},
                              Kind{"vmlinux", {{{"index", false}, {"index", false}}}}};

const Kind& kind_named(string_view name) { return *std::ranges::find(kinds, name, &Kind::name); }

// "/srv/kpatch/toolchain/7dfc…/root": its entry's digest, of which it is in any cache.
std::string root_named(const fs::path& root) {
  return root.filename() == "root" && root.parent_path().parent_path().filename() == "toolchain"
             ? root.parent_path().filename().string()
             : root.string();
}

// Host programs of a base run with this machine's libraries, where it has no root.
std::string system_here() {
  utsname machine{};
  uname(&machine);
  std::string text = machine.machine;
  const std::string release = read_file_if_any("/etc/os-release");
  for (const string_view line : lines_of(release))
    if (line.starts_with("ID=") || line.starts_with("VERSION_ID=")) text += fmt::format(" {}", line);
  return text;
}

std::string field(string_view key, string_view name) { return CacheKey::field(key, name).value_or(""); }

// The paths that kbuild wrote down: of the one base, and of the other.
std::map<std::string, std::string> moves_between(string_view from, const fs::path& from_directory, string_view to,
                                                 const fs::path& to_directory) {
  std::map<std::string, std::string> moves = {{from_directory.string(), to_directory.string()}};
  for (const char* name : {"source path", "toolchain"})
    if (const std::string path = field(from, name); !path.empty()) moves[path] = field(to, name);
  for (const auto& [path, other] : moves)
    if (!fs::path(path).is_absolute() || !fs::path(other).is_absolute() || std::ranges::count(path, '/') < 2)
      throw Error(fmt::format("{} is no path of a cache", path));
  std::erase_if(moves, [](const auto& move) { return move.first == move.second; });
  return moves;
}

std::string moved(string_view text, const std::map<std::string, std::string>& moves) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const auto move =
        std::ranges::find_if(moves, [&](const auto& each) { return text.substr(at).starts_with(each.first); });
    if (move == moves.end()) {
      result += text[at++];
    } else {
      result += move->second;
      at += move->first.size();
    }
  }
  return result;
}

bool names_any(string_view text, const std::map<std::string, std::string>& moves) {
  return std::ranges::any_of(moves, [&](const auto& move) { return text.find(move.first) != string_view::npos; });
}

void require_parts(const Kind& kind, const fs::path& directory) {
  for (const Part& part : kind.parts) {
    std::error_code absent;
    const fs::file_status there = fs::symlink_status(directory / part.name, absent);
    if (part.folder ? !fs::is_directory(there) : !fs::is_regular_file(there))
      throw Error(fmt::format("it holds no {}, or one that is none", part.name));
  }
}

// Of a base: within it, or to its source.
void require_links(const fs::path& kbuild, const fs::path& source) {
  walk(kbuild, [&](const fs::directory_entry& entry) {
    if (!entry.is_symlink()) return true;
    const fs::path target = fs::read_symlink(entry.path());
    const fs::path there = (entry.path().parent_path() / target).lexically_normal();
    const auto below = [&](const fs::path& folder) {
      const fs::path relative = there.lexically_relative(folder);
      return !relative.empty() && *relative.begin() != "..";
    };
    if (!below(kbuild) && !below(source))
      throw Error(
          fmt::format("it holds {}, a link to {}", entry.path().lexically_relative(kbuild).string(), target.string()));
    return true;
  });
}

class SharedEntries {
 public:
  SharedEntries(StorePlace place, Console& console) : store_(std::move(place)), console_(console) {}

  bool fetch(string_view kind, const CacheKey& key, const fs::path& directory, const fs::path& scratch) {
    const std::string name = shared_name(kind, key.text());
    if (name.empty()) return false;
    try {
      const json list = store_.list("entries", name);
      if (list.is_null()) return false;
      take(kind_named(kind), key, list, directory, scratch);
      store_.touch("entries", name);
      return true;
    } catch (const json::exception&) {
      warn("an entry of it is torn", kind);
    } catch (const fs::filesystem_error& error) {
      warn(fmt::format("{}: {}", error.path1().string(), error.code().message()), kind);
    } catch (const Error& error) {
      warn(error.what(), kind);
    }
    return false;
  }

  void keep(string_view kind, const CacheKey& key, const fs::path& directory, const fs::path& scratch) {
    const std::string name = shared_name(kind, key.text());
    if (name.empty() || !store_.takes() || store_.place().key.empty()) return;
    try {
      std::vector<PackedTree> trees;
      for (const Part& part : kind_named(kind).parts)
        if (trees.empty() || trees.back().name != part.name)
          trees.push_back({directory / part.name, std::string(part.name)});
      Console::Stage stage(console_, fmt::format("into the store: the {}", kind));
      pack(scratch / packed, trees);
      store_.keep("entries", name, {{"kind", kind}, {"of", key.text()}, {"directory", directory.string()}},
                  {scratch / packed});
      stage.note(fmt::format("{} MB", (fs::file_size(scratch / packed) >> 20) + 1));
    } catch (const fs::filesystem_error& error) {
      console_.warning(fmt::format("the store: {}: {}", error.path1().string(), error.code().message()));
    } catch (const Error& error) {
      console_.warning(fmt::format("the store: {}", error.what()));
    }
  }

 private:
  void warn(const std::string& what, string_view kind) {
    console_.warning(fmt::format("the store: {}; the {} is made here", what, kind));
  }

  void take(const Kind& kind, const CacheKey& key, const json& list, const fs::path& directory,
            const fs::path& scratch) {
    const auto of = list.at("of").get<std::string>();
    // It is well signed, and may yet lie under another's name.
    if (shared_name(kind.name, of) != list.at("key").get<std::string>()) throw Error("an entry of it is another's");
    // The other kinds are of a stage that says so.
    std::optional<Console::Stage> stage;
    if (kind.name == "toolchain") stage.emplace(console_, "from the store: the toolchain");
    store_.fetch(list, packed, scratch / packed);
    extract(scratch / packed, directory, [&](string_view path) {
      const string_view top = path.substr(0, path.find('/'));
      if (std::ranges::find(kind.parts, top, &Part::name) == kind.parts.end())
        throw Error(fmt::format("an entry of it holds {}, which none has", path));
      return true;
    });
    require_parts(kind, directory);
    if (kind.name == "base") {
      move_paths(directory / "kbuild",
                 moves_between(of, list.at("directory").get<std::string>(), key.text(), directory));
      require_links(directory / "kbuild", field(key.text(), "source path"));
    }
    for (const Part& part : kind.parts)
      if (part.folder) clean_unpacked(directory / part.name, "an entry of the store", Links::anywhere);
  }

  TeamStore store_;
  Console& console_;
};

}  // namespace

void move_paths(const fs::path& folder, const std::map<std::string, std::string>& moves) {
  if (moves.empty()) return;
  walk(folder, [&](const fs::directory_entry& entry) {
    if (entry.is_symlink()) {
      const std::string target = fs::read_symlink(entry.path()).string();
      if (!names_any(target, moves)) return true;
      fs::remove(entry.path());
      fs::create_symlink(moved(target, moves), entry.path());
    } else if (entry.is_regular_file()) {
      const std::string text = read_file(entry.path());
      if (text.find('\0') != std::string::npos || !names_any(text, moves)) return true;
      struct stat info {};
      if (lstat(entry.path().c_str(), &info) != 0) throw Error(fmt::format("can't read {}", entry.path().string()));
      write_file(entry.path(), moved(text, moves), Flush::no);
      const std::array times = {info.st_atim, info.st_mtim};
      if (chmod(entry.path().c_str(), info.st_mode & 07777) != 0 ||
          utimensat(AT_FDCWD, entry.path().c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0)
        throw Error(fmt::format("can't write {}", entry.path().string()));
    }
    return true;
  });
}

std::string shared_name(string_view kind, string_view key) {
  const bool known = std::ranges::find(kinds, kind, &Kind::name) != kinds.end();
  // An own kernel's is a whole build: gigabytes, and objects with the paths in them that later builds look into.
  if (!known || (kind == "base" && !field(key, "base").starts_with("stock "))) return {};
  std::string text = fmt::format("kind: {}\nsystem: {}\n", kind, kind == "vmlinux" ? "" : system_here());
  for (const string_view line : lines_of(key))
    if (line.starts_with("toolchain: "))
      text += fmt::format("toolchain: {}\n", root_named(field(key, "toolchain")));
    else if (!line.starts_with("source path: "))
      text += fmt::format("{}\n", line);
  return sha256_of(text);
}

EntryStore shared_entries(StorePlace place, Console& console) {
  const auto shared = std::make_shared<SharedEntries>(std::move(place), console);
  return {[shared](string_view kind, const CacheKey& key, const fs::path& directory, const fs::path& scratch) {
            return shared->fetch(kind, key, directory, scratch);
          },
          [shared](string_view kind, const CacheKey& key, const fs::path& directory, const fs::path& scratch) {
            shared->keep(kind, key, directory, scratch);
          }};
}

}  // namespace kpatch
