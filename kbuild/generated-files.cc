// Headers that only kbuild's own build of a folder makes
//
// A base is prepared, not built: what `modules_prepare` generates is there, what a folder's Makefile generates for its
// own objects is not.
//
//     security/apparmor/Makefile:   $(obj)/net.o : $(obj)/net_names.h
//     security/apparmor/net.c:      #include "net_names.h"
//
//     net.c:16:10: fatal error: net_names.h: No such file or directory
//
// So the compiler's message names the file, and kbuild is asked to make exactly this target in the folders where the
// compiler would have found it: beside the object, beside the file that includes it, in the folders of -I. Making it
// adds a file to the base and changes none, hence the same compile can simply run again; that is done under the lock of
// the base, for several runs may need the same file. Each (folder, file) is asked for once in a run, and compiling
// again is suggested only when a file has come into being, so this ends.
//
// Assumption about the kernel: scripts/Makefile.build makes single files given as `obj=FOLDER FOLDER/FILE` (all
// versions), with the flags that the top Makefile exports.
#include "kbuild/generated-files.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "kbuild/commands.h"
#include "kernel/kernel.h"
#include "support/lock.h"
#include "support/signals.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

// The name in front of the message: "a/b.c:16:10: fatal error: " -> "a/b.c".
std::string file_of(string_view position) {
  const size_t colon = position.find(':');
  return colon == string_view::npos ? std::string() : std::string(position.substr(0, colon));
}

// The path relative to one of the roots, or as it is when it is relative already; nothing for other places.
std::optional<fs::path> below(const fs::path& path, const std::vector<fs::path>& roots) {
  if (path.is_relative()) return path.lexically_normal();
  for (const fs::path& root : roots) {
    const fs::path relative = path.lexically_normal().lexically_relative(root.lexically_normal());
    if (!relative.empty() && *relative.begin() != "..") return relative;
  }
  return std::nullopt;
}

bool has_makefile(const fs::path& source, const fs::path& folder) {
  return fs::exists(source / folder / "Makefile") || fs::exists(source / folder / "Kbuild");
}

// The nearest folder with a Makefile; the top one's is no folder's.
std::optional<fs::path> folder_with_makefile(const fs::path& source, fs::path folder) {
  while (!folder.empty() && folder != "." && *folder.begin() != "..") {
    if (has_makefile(source, folder)) return folder;
    folder = folder.parent_path();
  }
  return std::nullopt;
}

// Folders of -IFOLDER, -I FOLDER.
std::vector<fs::path> include_folders(const std::vector<std::string>& arguments) {
  std::vector<fs::path> folders;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "-I" && i + 1 < arguments.size()) {
      folders.emplace_back(arguments[++i]);
    } else if (arguments[i].starts_with("-I") && arguments[i].size() > 2) {
      folders.emplace_back(arguments[i].substr(2));
    }
  }
  return folders;
}

}  // namespace

std::vector<MissingFile> missing_files(string_view messages) {
  constexpr string_view compiler = ": fatal error: ";
  constexpr string_view reason = ": No such file or directory";
  constexpr string_view assembler = ": Error: file not found: ";  // .incbin
  std::vector<MissingFile> missing;
  for (const string_view line : lines_of(messages)) {
    if (const size_t at = line.find(compiler); at != string_view::npos && line.ends_with(reason)) {
      const string_view name = line.substr(at + compiler.size(), line.size() - at - compiler.size() - reason.size());
      missing.push_back({std::string(name), file_of(line.substr(0, at + 1))});
    } else if (const size_t where = line.find(assembler); where != string_view::npos) {
      missing.push_back({std::string(line.substr(where + assembler.size())), {}});
    }
  }
  return missing;
}

std::vector<KbuildTarget> possible_targets(const MissingFile& missing, const CompileCommand& command,
                                           const std::vector<fs::path>& roots) {
  const fs::path object_folder = fs::path(command.object).lexically_normal().parent_path();
  std::vector<fs::path> folders = {object_folder};
  if (!missing.from.empty()) folders.push_back(fs::path(missing.from).parent_path());
  folders.push_back(fs::path(command.source).parent_path());
  for (fs::path& folder : include_folders(command.arguments)) folders.push_back(std::move(folder));
  folders.emplace_back();  // .incbin "kernel/config_data.gz"
  std::vector<KbuildTarget> targets;
  for (const fs::path& folder : folders) {
    const std::optional<fs::path> relative = below(folder, roots);
    if (!relative) continue;
    const fs::path file = (*relative / missing.name).lexically_normal();
    if (file.is_absolute() || file.empty() || *file.begin() == "..") continue;
    const std::optional<fs::path> owner = folder_with_makefile(roots.front(), file.parent_path());
    if (!owner) continue;
    KbuildTarget target{owner->string(), file.string()};
    if (std::ranges::find(targets, target) == targets.end()) targets.push_back(std::move(target));
  }
  return targets;
}

bool GeneratedFiles::mend(string_view messages, const CompileCommand& command, const fs::path& view) {
  bool made = false;
  for (const MissingFile& missing : missing_files(messages)) {
    for (const KbuildTarget& target : possible_targets(missing, command, {base_.source, view})) {
      if (!tried_.insert(target).second || !make(target)) continue;
      made = true;
      break;
    }
  }
  return made;
}

bool GeneratedFiles::make(const KbuildTarget& target) {
  // A source file that is there is not generated: kbuild would only say so.
  if (fs::exists(base_.source / target.file)) return false;
  std::optional<FileLock> lock;
  while (!(lock = FileLock::try_lock(base_.directory.string() + ".lock"))) {
    check_interrupted();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  if (fs::exists(base_.kbuild / target.file)) return true;  // another run made it meanwhile
  const CommandResult result = executor_.run(file_command(base_, target.folder, target.file));
  return result.ok() && fs::exists(base_.kbuild / target.file);
}

}  // namespace kpatch
