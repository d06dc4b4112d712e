// How kbuild compiles an object.
//
// Guessing flags is hopeless: they come from the top Makefile, the architecture's, each folder's, `subdir-ccflags-y` of
// any parent, per-object CFLAGS_x.o. `make fs/proc/meminfo.o` costs 2.6 s and writes into the base, and single targets
// lie: `make virt/kvm/kvm_main.o` succeeds, with flags that no shipped object was compiled with. So kbuild is asked
// what it would run for a folder (query.mk, `make -n`); make-output.cc reads what it prints.
//
// Which objects belong to a .c: usually one of its own folder. `arch/x86/kvm/../../../virt/kvm/kvm_main.o` is built by
// another folder's Makefile, which foreign-objects.cc finds; when none fits, the whole kernel is listed (8 s, once a
// base). What is listed counts only if it was shipped (shipped-objects.cc).
//
// Assumptions about the kernel, true from 5.10 to 6.18: scripts/Makefile.build takes obj=, need-builtin= and
// need-modorder=; the top Makefile works with sub_make_done=1 and abs_srctree=, abs_objtree= given; `may-sync-config`
// (with `need-compiler` since 5.15) says whether .config is looked at again.
#include "kbuild/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "kbuild/foreign-objects.h"
#include "kbuild/make-output.h"
#include "kbuild/shipped-objects.h"
#include "kernel/kernel.h"
#include "support/data.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view list_header = "kpatch commands 5";
constexpr std::string_view list_end = "end";  // of a list that is whole

std::string format_list(const std::vector<CompileCommand>& commands) {
  std::string text(list_header);
  auto put = [&](std::string_view field) { (text += '\0') += field; };
  for (auto& command : commands) {
    put(command.object);
    put(command.source);
    put(command.module);
    put(fmt::to_string(command.arguments.size()));
    for (auto& argument : command.arguments) put(argument);
  }
  put(list_end);
  return text;
}

// Nothing when another version of this program wrote it, or it isn't whole: kbuild is asked again.
std::optional<std::vector<CompileCommand>> parse_list(std::string_view text) {
  std::vector<std::string_view> fields = fields_of(text, '\0');
  if (fields.size() < 2 || fields.front() != list_header || fields.back() != list_end) return std::nullopt;
  fields.pop_back();
  std::vector<CompileCommand> commands;
  for (size_t i = 1; i < fields.size();) {
    if (fields.size() - i < 4) return std::nullopt;
    CompileCommand command{std::string(fields[i]), std::string(fields[i + 1]), std::string(fields[i + 2]), {}};
    size_t count = std::strtoul(std::string(fields[i + 3]).c_str(), nullptr, 10);
    i += 4;
    // A command has a compiler, -c, -o, an object and a source.
    constexpr size_t fewest = 5;
    if (count < fewest || fields.size() - i < count) return std::nullopt;
    command.arguments.assign(fields.begin() + ptrdiff_t(i), fields.begin() + ptrdiff_t(i + count));
    i += count;
    commands.push_back(std::move(command));
  }
  return commands;
}

bool has_makefile(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "Makefile", ignored) || fs::exists(folder / "Kbuild", ignored);
}

// Does a Makefile hand flags down to its subfolders? Then those must be asked for through it.
bool hands_flags_down(const fs::path& folder) {
  for (const char* name : {"Makefile", "Kbuild"}) {
    std::error_code ignored;
    if (!fs::exists(folder / name, ignored)) continue;
    std::string text = read_file(folder / name);
    for (std::string_view word : {"subdir-ccflags", "subdir-asflags", "KBUILD_CFLAGS", "KBUILD_CPPFLAGS", "export "})
      if (text.find(word) != std::string::npos) return true;
  }
  return false;
}

// The folder to ask about one: itself, or the topmost parent that hands flags down. Architectures' top Makefiles are
// included by the kernel's, so they are no folder's.
std::string folder_to_ask(const fs::path& source, const std::string& folder) {
  fs::path so_far;
  for (auto& part : fs::path(folder)) {
    so_far /= part;
    bool architecture = so_far.parent_path() == "arch";
    if (so_far != folder && !architecture && hands_flags_down(source / so_far)) return so_far.string();
  }
  return folder;
}

// make of query.mk in the base's kbuild folder, without targets.
Command query_command(const Base& base) {
  Command command;
  command.directory = base.kbuild;
  // What the top Makefile sets, or exports, only while sub_make_done isn't there: objtree and srcroot since 6.13.
  command.environment = {
      {"sub_make_done", "1"}, {"abs_srctree", base.source.string()}, {"abs_objtree", base.kbuild.string()},
      {"objtree", "."},       {"srcroot", base.source.string()},     {"KBUILD_CHECKSRC", "0"}};
  command.argv = {"make",
                  "-rR",
                  "-o",
                  "prepare0",
                  "--no-print-directory",
                  "--include-dir=" + base.source.string(),
                  "-f",
                  data_file("kbuild/query.mk").string()};
  for (auto& variable : kbuild_make(base, {}).argv)
    if (variable.find('=') != std::string::npos) command.argv.push_back(variable);
  // .config is as it should be: looking at it again would write to the base, for a view even with its own Kconfig.
  for (const char* variable : {"may-sync-config=", "need-compiler=1", "KBUILD_MODULES=1", "KBUILD_BUILTIN=1"})
    command.argv.emplace_back(variable);
  return command;
}

// What make prints, in a file of its own among the memos; what a killed run left there goes after a day.
struct OutputFile {
  explicit OutputFile(const fs::path& folder) : path(folder / fmt::format(".kpatch-{}.tmp", random_name())) {
    for (const auto& entry : entries_of(folder)) {
      std::error_code gone;
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(".kpatch-") && !name.ends_with(".out")) continue;
      const auto age = fs::file_time_type::clock::now() - entry.last_write_time(gone);
      if (!gone && age > std::chrono::hours(24)) fs::remove(entry.path(), gone);
    }
  }
  ~OutputFile() {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  const fs::path path;
};

std::string directory_of(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string() : std::string(path.substr(0, slash));
}

std::vector<CompileCommand> query_unresolved(const Base& base, Executor& executor, std::string_view directory) {
  fs::path memo = memo_file(base, directory == "." ? "all" : fmt::format("in!{}", directory));
  std::error_code error;
  if (fs::exists(memo, error))
    if (auto known = parse_list(read_file(memo))) return *known;
  const OutputFile output(memo.parent_path());
  Command command = query_command(base);
  command.argv.emplace_back("quiet=silent_");
  command.argv.push_back(fmt::format("KQ_DIR={}", directory));
  command.argv.push_back("KQ_OUT=" + output.path.string());
  command.argv.emplace_back("kq");
  CommandResult result = executor.run(command);
  std::string printed = read_file_if_any(output.path);
  constexpr uint64_t nothing_left = 1 << 20;  // tests of what the compiler can do fail in silence then
  const bool full = free_bytes(memo.parent_path()) < nothing_left;
  // drivers/accel/habanalabs/common/Makefile is a part of the folder's above it, and names others by the place of that.
  const std::string above = directory_of(directory);
  if (directory != "." && lacks_makefile(result.output)) {
    std::vector<CompileCommand> commands = query_unresolved(base, executor, above.empty() ? "." : above);
    write_file(memo, format_list(commands));
    return commands;
  }
  if (!result.ok() || !is_whole(printed, result.output) || full)
    executor.fail(fmt::format("kbuild could not list how it compiles {}{}",
                              directory == "." ? "the kernel" : std::string(directory),
                              full ? ": no space left on the device" : ""),
                  result);
  std::vector<CompileCommand> commands = parse_commands(printed, base.source);
  std::ranges::stable_sort(commands, {}, &CompileCommand::object);
  write_file(memo, format_list(commands));
  return commands;
}

// The memo has the modules' names alone: an own kernel is listed before it is built.
std::vector<CompileCommand> query(const Base& base, Executor& executor, std::string_view directory) {
  std::vector<CompileCommand> commands = query_unresolved(base, executor, directory);
  resolve_modules(base, commands);
  return commands;
}

}  // namespace

fs::path memo_file(const Base& base, std::string_view name) {
  fs::path folder = base.directory / "commands";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(fmt::format("can't make {}: {}", folder.string(), error.message()));
  std::string file;
  for (char c : name) file += c == '/' ? '!' : c;
  return folder / file;
}

Command build_command(const Base& base, unsigned jobs) {
  Command command = query_command(base);
  command.argv.insert(command.argv.end(),
                      {"quiet=quiet_", "Q=@", "KQ_DIR=.", fmt::format("-j{}", std::max(jobs, 1u)), "kq-build"});
  return command;
}

Command file_command(const Base& base, std::string_view folder, std::string_view file) {
  Command command = query_command(base);
  command.argv.insert(command.argv.end(), {"quiet=quiet_", "Q=@", fmt::format("KQ_DIR={}", folder),
                                           fmt::format("KQ_FILE={}", file), "kq-file"});
  return command;
}

std::vector<CompileCommand> directory_commands(const Base& base, Executor& executor, std::string_view directory) {
  std::string folder = fs::path(directory).lexically_normal().string();
  while (folder.ends_with('/')) folder.pop_back();
  if (folder.empty() || folder == ".") return all_commands(base, executor);
  if (!has_makefile(base.source / folder)) return {};
  std::string asked = folder_to_ask(base.source, folder);
  std::vector<CompileCommand> commands = query(base, executor, asked);
  std::erase_if(commands, [&](auto& command) { return !command.object.starts_with(folder + "/"); });
  return commands;
}

std::vector<CompileCommand> all_commands(const Base& base, Executor& executor) { return query(base, executor, "."); }

std::vector<CompileCommand> commands_for_source(const Base& base, Executor& executor, std::string_view source) {
  std::error_code ignored;
  BuiltIntoKernel built(base);
  auto of_source = [&](std::vector<CompileCommand> commands) {
    std::erase_if(commands, [&](auto& command) { return command.source != source; });
    return commands;
  };
  if (fs::exists(memo_file(base, "all"), ignored)) return built.filter(of_source(all_commands(base, executor)));

  std::set<std::string> folders;
  bool whole = false;
  std::string own = directory_of(source);
  if (!own.empty() && has_makefile(base.source / own)) folders.insert(own);
  std::multimap<std::string, std::string> foreign = foreign_objects(base, memo_file(base, "foreign-objects"));
  auto named = foreign.equal_range(fs::path(source).stem().string());
  for (auto it = named.first; it != named.second; ++it) {
    // An included Makefile counts only when it lies beside the source, or no folder's own Makefile does.
    if (it->second == ".")
      whole |= folders.empty();
    else
      folders.insert(it->second);
  }
  std::map<std::string, CompileCommand> found;
  if (!whole)
    for (auto& folder : folders)
      for (auto& command : of_source(directory_commands(base, executor, folder)))
        found.emplace(command.object, command);
  std::vector<CompileCommand> commands;
  for (auto& [object, command] : found) commands.push_back(std::move(command));
  commands = built.filter(std::move(commands));
  if (!commands.empty()) return commands;
  return built.filter(of_source(all_commands(base, executor)));
}

std::vector<CompileCommand> shipped_commands(const Base& base, Executor& executor) {
  return BuiltIntoKernel(base).filter(all_commands(base, executor));
}

}  // namespace kpatch
