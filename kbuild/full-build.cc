// Two full builds, and which objects differ between them.
//
// The quick way compiles the objects that a patch is known to touch. Some patches change more than anybody can list:
//
//     --- a/mm/Kconfig                      --- a/scripts/Makefile.lib
//     +config ZSMALLOC_CHAIN_SIZE           +ccflags-y += -fno-inline
//
// Then kbuild itself builds the kernel twice, and every object whose bytes differ is a pair. It also is the yardstick
// for the quick way: both must give the same diff objects.
//
// Equal objects must come out equal, so both builds run at the same two paths (debug information and .cmd files hold
// absolute ones) and with fixed time stamps:
//
//     full/DIGEST/source      hard links to the base's source
//     full/DIGEST/kbuild      the O= folder; after the original build it becomes
//     full/DIGEST/original    which is never built in again
//
// For a patch, `original` is copied back to `kbuild`, the patched files take the place of their links in `source`, and
// make rebuilds what depends on them. Afterwards the links are put back. A run that is killed leaves its list
// of replaced files behind, and the next one begins by putting those back.
//
// Objects are compiled without objtool (OBJECT_FILES_NON_STANDARD=y): diffing wants what the compiler wrote. Nothing is
// linked: Makefile.build makes every object of the tree and stops before vmlinux, whose linker script knows no
// function sections.
//
// A patched file has line marks (patch/line-marks.cc), so that what was only moved is the same. What doesn't compile is
// compiled once more without them: the message has the lines that the patch's author knows.
#include "kbuild/full-build.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "kbuild/commands.h"
#include "kernel/kernel.h"
#include "patch/patch.h"
#include "support/error.h"
#include "support/files.h"
#include "support/lock.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

class FullBuild {
 public:
  FullBuild(const Base& base, Cache& cache, Executor& executor, Console& console, unsigned jobs, const FullFlags& flags)
      : base_(base), cache_(cache), executor_(executor), console_(console), jobs_(jobs), flags_(flags) {}

  std::vector<FullPair> run(const fs::path& view, const std::vector<std::string>& changed, const fs::path& scratch) {
    std::vector<CompileCommand> before = shipped_commands(base_, executor_);
    make_original(before.size());
    FileLock lock = cache_.lock(directory_.string() + ".use.lock", "the full build of " + base_.release);
    put_back();
    copy_tree({"-a", "--reflink=auto"}, original(), kbuild());
    struct Restore {
      FullBuild& build;
      ~Restore() {
        try {
          build.put_back();
          fs::remove_all(build.kbuild());
        } catch (const std::exception&) {
          // The next run puts back what this one could not.
        }
      }
    } restore{*this};
    replace(view, changed);
    build_patched(changed, before.size());
    return pairs(before, scratch);
  }

 private:
  fs::path source() const { return directory_ / "source"; }
  fs::path kbuild() const { return directory_ / "kbuild"; }
  fs::path original() const { return directory_ / "original"; }
  fs::path replaced() const { return directory_ / "replaced"; }

  // The base as if it lay here, for asking kbuild.
  Base here(const fs::path& memos) const {
    Base base = base_;
    base.directory = memos;
    base.source = source();
    base.kbuild = kbuild();
    return base;
  }

  void copy_tree(std::vector<std::string> how, const fs::path& from, const fs::path& to) {
    fs::remove_all(to);
    how.insert(how.begin(), "cp");
    how.insert(how.end(), {from.string(), to.string()});
    CommandResult result = executor_.run({how, {}, {}});
    if (!result.ok()) executor_.fail(fmt::format("can't copy {}", from.string()), result);
  }

  void make_original(size_t objects) {
    CacheKey key;
    key.add("full", "1")
        .add("base", base_.directory.filename().string())
        .add("flags", fmt::format("{} | {}", fmt::join(flags_.all, " "), fmt::join(flags_.built_in, " ")));
    auto fill = [&](const fs::path& directory) {
      directory_ = directory;
      try {
        copy_tree({"-al"}, base_.source, source());
      } catch (const Error&) {
        copy_tree({"-a", "--reflink=auto"}, base_.source, source());  // no hard links here
      }
      fs::create_directories(kbuild());
      fs::copy_file(base_.kbuild / ".config", kbuild() / ".config");
      build("building the kernel in full, once", objects);
      fs::rename(kbuild(), original());
    };
    directory_ = cache_.entry("full", key, "the full build of " + base_.release, [&](const fs::path& directory) {
      try {
        fill(directory);
      } catch (const fs::filesystem_error& error) {
        throw Error(fmt::format("can't build the kernel in full: {}", error.what()));
      }
    });
  }

  Command with_flags(Command command) const {
    command.argv.push_back(fmt::format("KCFLAGS=-ffunction-sections -fdata-sections {}", fmt::join(flags_.all, " ")));
    if (!flags_.built_in.empty())
      command.argv.push_back(fmt::format("CFLAGS_KERNEL={}", fmt::join(flags_.built_in, " ")));
    command.argv.emplace_back("OBJECT_FILES_NON_STANDARD=y");
    for (auto& [name, value] : {std::pair("TIMESTAMP", "@0"), std::pair("USER", "kpatch"), std::pair("HOST", "kpatch")})
      command.environment.emplace_back(fmt::format("KBUILD_BUILD_{}", name), value);
    return command;
  }

  void build_patched(const std::vector<std::string>& changed, size_t objects) {
    try {
      build("building the patched kernel in full", objects);
    } catch (const Error&) {
      if (drop_line_marks(changed)) build("building it without line marks, for the compiler's message", objects);
      throw;
    }
  }

  // False when there are none.
  bool drop_line_marks(const std::vector<std::string>& changed) {
    bool any = false;
    for (const std::string& path : changed) {
      const std::string marked = read_file_if_any(source() / path), plain = without_line_marks(marked);
      if (plain == marked) continue;
      write_file(source() / path, plain, Flush::no);
      any = true;
    }
    return any;
  }

  // Messages speak of the patch's files, not of where they lie.
  [[noreturn]] void fail(const std::string& what, CommandResult result) const {
    replace_all(result.output, source().string() + "/", "");
    fail_make(executor_, what, result);
  }

  void build(const std::string& what, size_t objects) {
    Console::Stage stage(console_, what);
    Base base = here(directory_);
    for (const char* target : {"olddefconfig", "modules_prepare"}) {
      CommandResult result = executor_.run(with_flags(prepare_command(base, {target}, jobs_)));
      if (!result.ok()) fail(fmt::format("make {} failed in the full build", target), std::move(result));
    }
    size_t done = 0;
    CommandResult result = executor_.run(with_flags(build_command(base, jobs_)), [&](std::string_view line) {
      if (line.starts_with("  CC ")) stage.progress(std::min(++done, objects), objects);
    });
    if (!result.ok()) fail("the full build of the kernel failed", std::move(result));
    stage.note(fmt::format("{} compiled", done));
  }

  void replace(const fs::path& view, const std::vector<std::string>& changed) {
    write_file(replaced(), joined(changed, "\n") + "\n");
    for (auto& path : changed) {
      fs::path to = source() / path;
      fs::remove(to);  // a hard link: its other name must keep its contents
      if (!fs::exists(view / path)) continue;
      fs::create_directories(to.parent_path());
      fs::copy_file(view / path, to);  // follows a link; new time stamp, so that make sees it
    }
  }

  void put_back() {
    std::error_code error;
    if (!fs::exists(replaced(), error)) return;
    const std::string text = read_file(replaced());
    for (std::string_view path : lines_of(text)) {
      if (path.empty()) continue;
      fs::remove(source() / path, error);
      if (!fs::exists(base_.source / path, error)) continue;
      fs::create_hard_link(base_.source / path, source() / path, error);
      if (error) fs::copy_file(base_.source / path, source() / path);
    }
    fs::remove(replaced(), error);
  }

  std::vector<FullPair> pairs(const std::vector<CompileCommand>& before, const fs::path& scratch) {
    fs::create_directories(scratch / "full");
    std::vector<CompileCommand> after = all_commands(here(scratch / "full"), executor_);
    std::map<std::string, CompileCommand> commands;
    for (auto& command : after) {
      if (!fs::exists(original() / command.object)) {  // new: what it was compiled from is in the base's terms
        for (auto& argument : command.arguments) replace_all(argument, source().string(), base_.source.string());
        commands.emplace(command.object, command);
      }
    }
    for (auto& command : before) commands.insert_or_assign(command.object, command);
    std::vector<FullPair> result;
    for (auto& [object, command] : commands) {
      fs::path old_file = original() / object, new_file = kbuild() / object;
      bool had = fs::exists(old_file), has = fs::exists(new_file);
      if ((!had && !has) || (had && has && read_file(old_file) == read_file(new_file))) continue;
      FullPair pair{command, {}, {}};
      if (had) pair.original = keep(old_file, scratch / "full/original" / object);
      if (has) pair.patched = keep(new_file, scratch / "full/patched" / object);
      result.push_back(std::move(pair));
    }
    return result;
  }

  static fs::path keep(const fs::path& from, const fs::path& to) {
    fs::path clean = to.lexically_normal();
    fs::create_directories(clean.parent_path());
    fs::copy_file(from, clean);
    return clean;
  }

  static void replace_all(std::string& text, const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
  }

  const Base& base_;
  Cache& cache_;
  Executor& executor_;
  Console& console_;
  unsigned jobs_;
  FullFlags flags_;
  fs::path directory_;
};

}  // namespace

std::vector<FullPair> build_full(const Base& base, const fs::path& view, const std::vector<std::string>& changed,
                                 Cache& cache, Executor& executor, Console& console, unsigned jobs,
                                 const fs::path& scratch, const FullFlags& flags) {
  // It has a folder, and so a seed, of its own.
  const KernelConfig config = KernelConfig::read(base.kbuild / ".config");
  if (config.enabled("RANDSTRUCT") || config.enabled("GCC_PLUGIN_RANDSTRUCT"))
    throw Error(
        "--full can't be used with CONFIG_RANDSTRUCT: the structs of a second build are laid out in another way");
  return FullBuild(base, cache, executor, console, jobs, flags).run(view, changed, scratch);
}

}  // namespace kpatch
