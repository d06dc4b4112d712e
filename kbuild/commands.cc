// How kbuild compiles an object.
//
// Guessing flags is hopeless: they come from the top Makefile, the architecture's, each folder's, `subdir-ccflags-y` of
// any parent, per-object CFLAGS_x.o. `make fs/proc/meminfo.o` costs 2.6 s and writes into the base, and single targets
// lie: `make virt/kvm/kvm_main.o` succeeds, with flags that no shipped object was compiled with. So kbuild is asked
// what it would run for a folder (query.mk, `make -n`); it prints, per object, one line of shell:
//
//     set -e; trap 'rm -f fs/proc/meminfo.o; …' HUP; gcc-12 -Wp,-MMD,fs/proc/.meminfo.o.d …
//     -DKBUILD_MODNAME='"meminfo"'
//         -c -o fs/proc/meminfo.o /src/fs/proc/meminfo.c ; scripts/basic/fixdep … 'gcc-12 …' > fs/proc/.meminfo.o.cmd
//
// The line is lexed as shell, and the simple command that compiles (-c, -D__KERNEL__, a .c last) is taken.
//
// Which objects belong to a .c: usually one of its own folder. `arch/x86/kvm/../../../virt/kvm/kvm_main.o` is built by
// another folder's Makefile, which is found by the words of all Makefiles that name an object of another folder; when
// none fits, the whole kernel is listed (8 s, once a base). What is listed counts only if it was shipped: vmlinux has
// a translation unit of that name, or the module's file exists. (A folder's Makefile may list objects although no
// parent descends into it, and the vDSO's or the boot code's objects are no part of vmlinux.)
//
// Assumptions about the kernel, true from 5.10 to 6.18: scripts/Makefile.build takes obj=, need-builtin= and
// need-modorder=; the top Makefile works with sub_make_done=1 and abs_srctree=, abs_objtree= given; `may-sync-config`
// (with `need-compiler` since 5.15) says whether .config is looked at again; recipes compile with `-c -o OBJECT
// SOURCE`; -DKBUILD_MODFILE names the module (since 5.4).
#include "kbuild/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <span>

#include "kernel/kernel.h"
#include "lookup/lookup.h"
#include "support/data.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view list_header = "kpatch commands 3";
constexpr std::string_view list_end = "end";  // of a list that is whole

bool is_kernel_compile(const std::vector<std::string>& words) {
  return words.size() > 4 && words.back().ends_with(".c") && std::ranges::find(words, "-c") != words.end() &&
         std::ranges::find(words, "-o") != words.end() && std::ranges::find(words, "-D__KERNEL__") != words.end();
}

// The names of the modules that an object goes into, without their folder; several with colons between them.
// -DKBUILD_MODNAME="xt_comment" (the quotes are part of the macro's value, `-` is written as `_`).
std::string modules_of(const std::vector<std::string>& words) {
  constexpr std::string_view prefix = "-DKBUILD_MODNAME=";
  if (std::ranges::find(words, "-DMODULE") == words.end()) return "";
  for (auto& word : words) {
    if (!word.starts_with(prefix)) continue;
    std::string value = word.substr(prefix.size());
    std::erase(value, '"');
    return value;
  }
  return "";
}

// Finds a module's path by its name and by where its objects lie: in the folder of the Makefile that lists them,
// or below it. "virtio_net" of drivers/net/virtio_net.o -> "drivers/net/virtio-net", were that the file's name.
class ModulePaths {
 public:
  explicit ModulePaths(const fs::path& top) {
    size_t skip = top.string().size() + 1;
    walk(top, [&](const fs::directory_entry& entry) {
      std::string path = entry.path().string();
      if (auto module = module_path_of(std::string_view(path).substr(skip)))
        paths_.emplace(folder_and_name(*module), *module);
      return true;
    });
  }

  // "a:b" -> "folder/a:folder/b". A module that doesn't exist gets the object's own folder.
  std::string resolve(const std::string& names, const std::string& object) const {
    std::string result;
    for (std::string_view name : fields_of(names, ':')) {
      if (!result.empty()) result += ':';
      result += one(std::string(name), object);
    }
    return result;
  }

 private:
  static std::string folder_and_name(std::string_view module) {
    std::string folder(module.substr(0, module.rfind('/') + 1));  // npos + 1 is 0
    return folder + module_name_of(module);
  }

  std::string one(const std::string& name, const std::string& object) const {
    // "arch/x86/kvm/../../../virt/kvm/kvm_main.o" is listed in arch/x86/kvm.
    std::string folder = object.substr(0, object.find("/../"));
    if (folder.size() == object.size())
      folder = object.substr(0, object.rfind('/') + 1);
    else
      folder += '/';
    std::string own = folder;
    for (;;) {
      if (auto it = paths_.find(folder + module_name_of(name)); it != paths_.end()) return it->second;
      if (folder.size() < 2) break;
      folder.resize(folder.rfind('/', folder.size() - 2) + 1);
    }
    return own + name;
  }

  std::map<std::string, std::string> paths_;
};

void resolve_modules(const Base& base, std::vector<CompileCommand>& commands) {
  if (std::ranges::all_of(commands, [](auto& command) { return command.module.empty(); })) return;
  ModulePaths paths(base.modules);
  for (auto& command : commands)
    if (!command.module.empty()) command.module = paths.resolve(command.module, command.object);
}

std::string relative_source(const std::string& path, const std::string& source) {
  std::string_view rest = path;
  if (rest.starts_with(source) && rest.substr(source.size()).starts_with('/')) rest.remove_prefix(source.size() + 1);
  return fs::path(rest).lexically_normal().string();
}

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

fs::path memo_file(const Base& base, std::string_view name) {
  fs::path folder = base.directory / "commands";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(fmt::format("can't make {}: {}", folder.string(), error.message()));
  std::string file;
  for (char c : name) file += c == '/' ? '!' : c;
  return folder / file;
}

bool is_makefile(std::string_view name) {
  return name == "Makefile" || name == "Kbuild" || name.starts_with("Makefile.") || name.starts_with("Kbuild.");
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

// For each Makefile, the objects it names with a folder ("$(KVM)/kvm_main.o", "en/port.o"): base name -> folder of the
// Makefile, "." when it is an included one (Makefile.kvm), whose user can't be told.
std::multimap<std::string, std::string> foreign_objects(const Base& base) {
  fs::path memo = memo_file(base, "foreign-objects");
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

// What the shipped kernel consists of.
class BuiltIntoKernel {
 public:
  explicit BuiltIntoKernel(const Base& base) : base_(base), vmlinux_(Binary::open(base.vmlinux_index)) {
    std::string top = top_of(vmlinux_.units());
    for (auto unit : vmlinux_.units()) {
      if (unit.starts_with(top)) unit.remove_prefix(top.size());
      units_.insert(fs::path(unit).lexically_normal().string());
    }
  }

  // The part of the commands that the shipped kernel holds. An object that several modules share comes once for each.
  std::vector<CompileCommand> filter(std::vector<CompileCommand> commands) {
    std::vector<CompileCommand> result;
    for (auto& command : commands) {
      if (command.module.empty()) {
        if (in_vmlinux(command)) result.push_back(std::move(command));
        continue;
      }
      for (auto& module : split_modules(command.module)) {
        if (!has_module(module)) continue;
        CompileCommand one = command;
        one.module = module;
        result.push_back(std::move(one));
      }
    }
    drop_other_images(result);
    return result;
  }

 private:
  // A kernel built with O= has absolute names: "/home/me/linux/init/main.c". What stands before init/main.c, which
  // every kernel has, is the source that it was built from.
  static std::string top_of(std::span<const std::string_view> units) {
    constexpr std::string_view known = "init/main.c";
    std::string_view best;
    for (auto unit : units) {
      if (unit == known) return "";
      if (!unit.ends_with(known) || unit[unit.size() - known.size() - 1] != '/') continue;
      std::string_view top = unit.substr(0, unit.size() - known.size());
      if (best.empty() || top.size() < best.size()) best = top;
    }
    return std::string(best);
  }

  static std::vector<std::string> split_modules(const std::string& text) {
    std::vector<std::string> result(1);
    for (char c : text) {
      if (c == ' ' || c == ':')
        result.emplace_back();
      else
        result.back() += c;
    }
    std::erase(result, "");
    return result;
  }

  bool has_module(const std::string& module) {
    auto [it, is_new] = modules_.try_emplace(module, false);
    if (is_new) it->second = module_file(base_, module).has_value();
    return it->second;
  }

  bool in_vmlinux(const CompileCommand& command) const {
    return units_.empty() || units_.contains(command.source) ||
           units_.contains(fs::path(command.object).lexically_normal().replace_extension(".c").string());
  }

  static bool has_usual_name(const CompileCommand& command) {
    return fs::path(command.object).lexically_normal().replace_extension(".c") == command.source;
  }

  // A special rule compiles lib/crypto/sha256.c once more, as arch/x86/purgatory/sha256.o: another image, same unit.
  static void drop_other_images(std::vector<CompileCommand>& commands) {
    std::set<std::string> usual;
    for (auto& command : commands)
      if (command.module.empty() && has_usual_name(command)) usual.insert(command.source);
    std::erase_if(commands, [&](auto& command) {
      return command.module.empty() && !has_usual_name(command) && usual.contains(command.source);
    });
  }

  const Base& base_;
  Binary vmlinux_;
  std::set<std::string> units_;
  std::map<std::string, bool> modules_;
};

// make of query.mk in the base's kbuild folder, without targets.
Command query_command(const Base& base) {
  Command command;
  command.directory = base.kbuild;
  command.environment = {
      {"sub_make_done", "1"}, {"abs_srctree", base.source.string()}, {"abs_objtree", base.kbuild.string()}};
  command.argv = {"make",
                  "-rR",
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

// Did make get to the end of each folder? It goes on behind a file that it can't make (-k), which no kernel object is
// made from; but a make below it that was killed, or ran out of memory or disk, leaves half a list, and says so.
bool is_whole(std::string_view printed, std::string_view messages) {
  if (!printed.ends_with("\nkq-end\n") && printed != "kq-end\n") return false;
  for (std::string_view line : lines_of(messages)) {
    for (std::string_view trouble : {"write error", "memory exhausted", "Cannot allocate", "No space left", "fork",
                                     "Killed", "Terminated", "cannot execute"})
      if (line.find(trouble) != std::string_view::npos) return false;
    const bool stopped = line.find("*** ") != std::string_view::npos;
    if (stopped && line.find("No rule to make target") == std::string_view::npos && !line.ends_with("] Error 2"))
      return false;
  }
  return true;
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

std::string directory_of(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string() : std::string(path.substr(0, slash));
}

}  // namespace

std::vector<std::vector<std::string>> split_shell(std::string_view text) {
  std::vector<std::vector<std::string>> commands(1);
  std::string word;
  bool in_word = false;
  auto end_word = [&] {
    if (std::exchange(in_word, false)) commands.back().push_back(std::exchange(word, {}));
  };
  auto end_command = [&] {
    end_word();
    if (!commands.back().empty()) commands.emplace_back();
  };
  for (size_t i = 0; i < text.size(); i++) {
    char c = text[i];
    if (c == '\'') {
      size_t end = text.find('\'', i + 1);
      if (end == std::string_view::npos) throw Error("a quote isn't closed in what make printed");
      word += text.substr(i + 1, end - i - 1);
      in_word = true;
      i = end;
    } else if (c == '"') {
      in_word = true;
      for (i++; i < text.size() && text[i] != '"'; i++) {
        if (text[i] == '\\' && i + 1 < text.size() &&
            std::string_view("\"\\$`\n").find(text[i + 1]) != std::string::npos)
          i++;
        if (text[i] != '\n' || text[i - 1] != '\\') word += text[i];
      }
      if (i >= text.size()) throw Error("a quote isn't closed in what make printed");
    } else if (c == '\\' && i + 1 < text.size()) {
      i++;
      if (text[i] == '\n') continue;  // a line goes on
      word += text[i];
      in_word = true;
    } else if (c == ';' || c == '\n' || c == '&' || c == '|') {
      bool redirection = c == '&' && i > 0 && text[i - 1] == '>';  // 2>&1
      if (redirection)
        word += c;
      else
        end_command();
    } else if (c == ' ' || c == '\t' || c == '\r') {
      end_word();
    } else if (c == '#' && !in_word) {
      while (i + 1 < text.size() && text[i + 1] != '\n') i++;
    } else {
      word += c;
      in_word = true;
    }
  }
  end_command();
  if (commands.back().empty()) commands.pop_back();
  return commands;
}

std::vector<CompileCommand> parse_commands(std::string_view make_output, const fs::path& source) {
  std::vector<CompileCommand> result;
  std::set<std::string> seen;
  for (size_t start = 0; start < make_output.size();) {
    // One recipe line: up to a newline that no backslash precedes. Lines that compile nothing need no lexing.
    size_t end = start;
    do end = std::min(make_output.find('\n', end + (end > start)), make_output.size());
    while (end < make_output.size() && end > start && make_output[end - 1] == '\\');
    std::string_view line = make_output.substr(start, end - start);
    start = end + 1;
    if (line.find("-D__KERNEL__") == std::string_view::npos || line.find(" -c ") == std::string_view::npos) continue;
    for (auto& words : split_shell(line)) {
      if (!is_kernel_compile(words)) continue;
      CompileCommand command;
      command.object = *(std::ranges::find(words, "-o") + 1);
      command.source = relative_source(words.back(), source.string());
      command.module = modules_of(words);
      command.arguments = std::move(words);
      if (command.object.ends_with(".o") && seen.insert(command.object).second) result.push_back(std::move(command));
    }
  }
  return result;
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
  std::multimap<std::string, std::string> foreign = foreign_objects(base);
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
