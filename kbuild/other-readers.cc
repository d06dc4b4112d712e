// kbuild lists the C files that become objects of vmlinux and the modules. A header may be read by others as well:
//
//   arch/x86/entry/calling.h           entry_64.S                     assembly: nothing to compare function by function
//   include/asm-generic/vmlinux.lds.h  vmlinux.lds.S                  where things lie in the image that runs
//   include/linux/page-flags.h         kernel/bounds.c                its output is generated/bounds.h, which all read
//   include/linux/sched.h              arch/x86/kernel/asm-offsets.c  numbers for assembly
//   include/vdso/datapage.h            vdso/vclock_gettime.c          an image of its own, mapped into each process
//   include/linux/efi.h                libstub/efi-stub.c             code that ran before the kernel
//
// A livepatch changes none of these, and a change that they take part in would be half a change. Most touched headers are
// read by some of them and matter to none: an inline function that boot code never calls. So the include graph tells who
// may read a file, and then what comes out is compared. First by flags of vmlinux, which costs least; where that
// makes a difference, or nothing at all, by those of kbuild for the reader's own folder, where it knows any.
#include "kbuild/other-readers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <thread>

#include "arch/stand-ins.h"
#include "kbuild/commands.h"
#include "kbuild/includes.h"
#include "kbuild/why-not-built.h"
#include "support/error.h"
#include "support/executor.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

// What numbers of a generated header are made from: Kbuild of the top folder (rq-offsets.c since 6.19), and of kvm and hyperv of
// x86, of hypervisor code of arm64. asm-offsets_64.c is a part of asm-offsets.c, which can't be compiled by itself.
constexpr std::array<const char*, 2> generated_sources = {"kernel/bounds.c", "kernel/sched/rq-offsets.c"};
bool is_generated_source(string_view path, string_view arch) {
  if (std::ranges::find(generated_sources, path) != generated_sources.end()) return true;
  return path.starts_with(fmt::format("arch/{}/", arch)) && path.find("/um/") == string_view::npos &&
         (path.ends_with("asm-offsets.c") || path.ends_with("/hyp-constants.c"));
}

// C that is compiled as a part of other files alone.
bool is_code_for_others(string_view path) { return path.starts_with("lib/vdso/") && path.ends_with(".c"); }

// The image that a C file belongs to, if it isn't the kernel itself; empty otherwise.
std::string image_of(string_view path, string_view arch) {
  const std::string folder = fmt::format("arch/{}/", arch);
  if (path.starts_with("drivers/firmware/efi/libstub/")) return "the EFI stub";
  if (path.starts_with("lib/vdso/")) return "the vDSO";
  if (!path.starts_with(folder)) return {};
  const string_view inner = path.substr(folder.size());
  if (inner.starts_with("entry/vdso/") || inner.starts_with("kernel/vdso")) return "the vDSO";
  if (inner.starts_with("boot/")) return "the boot code";
  if (inner.starts_with("realmode/")) return "the realmode code";
  if (inner.starts_with("purgatory/")) return "the purgatory";
  return {};
}

// Programs of the build, 32-bit images, and what is included by others alone.
bool left_out(string_view path) {
  for (const string_view part : {"/tools/", "mkcpustr.c", "mkpiggy.c", "vdso2c.", "_32.S", "_32.c", "relocs", "/zboot"})
    if (path.find(part) != string_view::npos) return true;
  return false;
}

OtherReader classify(const std::string& path, string_view arch) {
  if (left_out(path)) return {};
  if (path.ends_with(".lds.S")) return {path, "a linker script"};
  if (std::string image = image_of(path, arch); !image.empty()) return {path, std::move(image)};
  if (path.ends_with(".S")) return {path, "assembly"};
  if (is_generated_source(path, arch)) return {path, "the source of a generated header"};
  return {};
}

// How far a reader is taken for comparing.
enum class Step {
  preprocess,  // to text
  assembly,  // sources of generated headers: to lines with "->", which a script picks out (scripts/Makefile.lib, offsets)
  object,    // other C
};

// What matters of the output of one step.
std::string essence(const std::string& output, Step step) {
  if (step == Step::object) return output;
  std::string kept;
  for (string_view line : lines_of(output)) {
    const string_view body = trimmed(line);
    if (body.empty() || (step == Step::assembly && body.find("->") == string_view::npos)) continue;
    kept += body;
    kept += '\n';
  }
  return kept;
}

class Readings {
 public:
  Readings(const Base& base, PatchedView& view, std::span<const CompileCommand> kernel, string_view arch,
           std::span<const std::string> files, std::span<const HeaderChange> changes, Executor& executor,
           fs::path scratch)
      : base_(base),
        view_(view),
        like_(plainest(kernel)),
        arch_(arch),
        files_(files.begin(), files.end()),
        changes_(changes),
        executor_(executor),
        scratch_(std::move(scratch)),
        readers_(other_readers(base.source, arch)) {
    // Some folders have objects of the kernel beside those of an image: entry/vdso/vma.c, boot/startup/*.c.
    std::set<string_view> sources;
    for (const CompileCommand& unit : kernel) sources.insert(unit.source);
    std::erase_if(readers_, [&](const OtherReader& reader) {
      return reader.path.ends_with(".c") && sources.contains(reader.path);
    });
  }

  OtherReadings run() {
    std::vector<CompileCommand> units;
    for (const OtherReader& reader : readers_) units.push_back(unit_of(reader));
    std::vector<std::string> asked = files_;
    for (const OtherReader& reader : readers_)
      if (is_code_for_others(reader.path)) asked.push_back(reader.path);
    const IncludeGraph graph(base_.source, base_.kbuild, units, asked);
    std::map<size_t, OtherReading> may_read;
    for (const std::string& file : files_) {
      if (!graph.is_included(file)) continue;
      const std::vector<std::string> one{file};
      for (const size_t reader : graph.units_that_may_include(one)) {
        OtherReading& reading = may_read[reader];
        reading.reader = readers_[reader];
        reading.files.push_back(file);
      }
    }
    OtherReadings result;
    for (const auto& [reader, reading] : may_read) result.read.insert(reading.files.begin(), reading.files.end());
    if (!changes_.empty()) {
      const std::vector<size_t> mention = units_that_mention(graph, units, changes_).units;
      std::erase_if(may_read, [&](const auto& reading) {
        const bool touched = std::ranges::find(files_, reading.second.reader.path) != files_.end();
        return !touched && !std::ranges::binary_search(mention, reading.first);
      });
    }
    // Whoever includes it tells what becomes of it.
    std::erase_if(may_read, [&](const auto& reading) {
      const std::string& path = readers_[reading.first].path;
      return is_code_for_others(path) && graph.units_that_may_include(std::vector{path}).size() > 1;
    });
    if (may_read.empty()) return result;
    fs::create_directories(scratch_);
    write_stand_ins();
    // First what the preprocessor makes of them: for most readers a touched file changes nothing even there.
    std::vector<size_t> numbers;
    for (const auto& [reader, reading] : may_read) {
      view_.make_real(units[reader].source);
      numbers.push_back(reader);
    }
    std::vector<size_t> other_text = differing(units, numbers, Step::preprocess);
    std::vector<size_t> generators, sources, changed_numbers;
    for (const size_t reader : other_text) {
      const std::string& path = readers_[reader].path;
      auto& list = path.ends_with(".S") || is_code_for_others(path) ? changed_numbers
                   : is_generated_source(path, arch_)               ? generators
                                                                    : sources;
      list.push_back(reader);
    }
    // Then what the compiler makes of C: a new inline function that nobody there calls is nothing.
    for (const size_t reader : differing(units, generators, Step::assembly)) changed_numbers.push_back(reader);
    for (const size_t reader : differing(units, sources, Step::object)) built_by_itself(units[reader], reader);
    for (const size_t reader : differing(units, own_folders_, Step::object)) changed_numbers.push_back(reader);
    changed_numbers.insert(changed_numbers.end(), unknown_.begin(), unknown_.end());
    std::ranges::sort(changed_numbers);
    for (const size_t reader : other_text) {
      if (not_built_.contains(reader)) continue;
      const bool changed = std::ranges::binary_search(changed_numbers, reader);
      OtherReading& reading = may_read.at(reader);
      reading.values = std::move(other_values_[reader]);
      (changed ? result.changed : result.same).push_back(std::move(reading));
    }
    return result;
  }

 private:
  // Sorts a reader that the flags of vmlinux make something else of, or nothing: its folder's own flags, or nobody knows.
  // Not built at all: kbuild lists the folder without it, and a line of the Makefile tells why.
  void built_by_itself(CompileCommand& unit, size_t reader) {
    std::vector<CompileCommand> commands;
    try {
      commands = directory_commands(base_, executor_, fs::path(unit.source).parent_path().string());
    } catch (const Error&) {
      // A folder that is built by rules of its own only: nobody knows.
    }
    const auto own = std::ranges::find(commands, unit.source, &CompileCommand::source);
    if (own != commands.end()) {
      unit = *own;
      own_folders_.push_back(reader);
    } else if (commands.empty() || !missing_option(base_.source, base_.config, unit.source)) {
      unknown_.push_back(reader);
    } else {
      not_built_.insert(reader);
    }
  }

  // Names of values that are others, of what offsets are made from: `.ascii "->TASK_stack $24 …"`.
  static std::vector<std::string> different_values(const std::string& original, const std::string& patched) {
    const std::vector<string_view> before = lines_of(original), after = lines_of(patched);
    std::set<std::string> names;
    const auto add = [&](const std::vector<string_view>& lines, const std::vector<string_view>& others) {
      for (const string_view line : lines) {
        if (std::ranges::find(others, line) != others.end()) continue;
        const std::vector<string_view> words = words_of(line.substr(line.find("->") + 2));
        if (!words.empty() && !words.front().starts_with('#')) names.emplace(words.front());
      }
    };
    add(before, after);
    add(after, before);
    return {names.begin(), names.end()};
  }

  // Those of the readers whose output differs with the patch, or can't be made: without the flags of its folder a file
  // may not compile, and then the text has told already.
  std::vector<size_t> differing(const std::vector<CompileCommand>& units, const std::vector<size_t>& readers,
                                Step step) {
    std::vector<Command> commands;
    for (const size_t reader : readers)
      for (const bool patched : {false, true})
        commands.push_back(command(units[reader], commands.size(), patched, step));
    const std::vector<CommandResult> results = executor_.run_all(commands, jobs_);
    const auto text = [&](size_t i) { return essence(read_file_if_any(output(i)), step); };
    std::vector<size_t> list;
    for (size_t i = 0; i < readers.size(); ++i) {
      const bool made = results[2 * i].ok() && results[2 * i + 1].ok();
      if (!made || text(2 * i) != text(2 * i + 1)) list.push_back(readers[i]);
      if (made && step == Step::assembly) other_values_[readers[i]] = different_values(text(2 * i), text(2 * i + 1));
    }
    return list;
  }

  // By the flags of a file like any other, not of one that runs before the kernel is where it is linked for.
  static const CompileCommand& plainest(std::span<const CompileCommand> kernel) {
    const auto main = std::ranges::find(kernel, "init/main.c", &CompileCommand::source);
    if (main != kernel.end()) return *main;
    return *std::ranges::find_if(kernel, [](const CompileCommand& unit) { return unit.module.empty(); });
  }

  void write_stand_ins() const {
    for (const string_view folder : stand_in_folders) fs::create_directories(stand_ins_ / folder);
    for (const StandIn& file : stand_ins(arch_)) {
      fs::create_directories((stand_ins_ / file.path).parent_path());
      write_file(stand_ins_ / file.path, file.text);
    }
  }

  fs::path output(size_t number) const { return scratch_ / fmt::format("{}.out", number); }

  CompileCommand unit_of(const OtherReader& reader) const {
    CompileCommand unit = like_;
    unit.source = reader.path;
    unit.module.clear();
    unit.object = fs::path(reader.path).replace_extension(".o").string();
    const fs::path source = base_.source / reader.path;
    std::vector<std::string> own;
    // kvm-asm-offsets.c: "vmx/vmx.h", and that one "posted_intr.h"; of the vDSO: "lib/vdso/gettimeofday.c",
    // "common/vclock_gettime.c" (x86, since 7.0).
    for (const fs::path& folder : {source.parent_path(), source.parent_path().parent_path(), base_.source})
      own.insert(own.end(), {"-idirafter", folder.string()});
    // Other architectures' Makefiles include it, not their files: lib/vdso/Makefile.include.
    if (reader.what == "the vDSO" && !is_code_for_others(reader.path))
      for (const string_view name : {"gettimeofday", "getrandom"}) {
        const fs::path code = base_.source / fmt::format("lib/vdso/{}.c", name);
        if (source.stem().string().find(name) != std::string::npos && fs::exists(code) &&
            read_file_if_any(source).find(code.filename().string()) == std::string::npos)
          own.insert(own.end(), {"-include", code.string()});
      }
    unit.arguments.insert(unit.arguments.end() - 1, own.begin(), own.end());
    return unit;
  }

  Command command(const CompileCommand& unit, size_t number, bool patched, Step step) const {
    const bool assembly = unit.source.ends_with(".S");
    Command command;
    command.directory = base_.kbuild;
    for (size_t i = 0; i < unit.arguments.size(); ++i) {
      const std::string& argument = unit.arguments[i];
      if (argument == "-o") {
        ++i;
        continue;
      }
      // The unit's own source, output and record; and what would make names, lines or paths part of the text.
      if (i + 1 == unit.arguments.size() || argument == "-c" || argument.starts_with("-Wp,-M") ||
          argument.starts_with("-DKBUILD_") || argument.starts_with("-g") || argument.starts_with("-fsanitize"))
        continue;
      command.argv.push_back(patched ? view_.translate(argument) : argument);
    }
    const fs::path root = patched ? view_.root() : base_.source;
    const fs::path source = root / unit.source;
    for (const string_view folder : stand_in_folders)
      command.argv.insert(command.argv.end(), {"-idirafter", (stand_ins_ / folder).lexically_normal().string()});
    for (const char* name :
         {"-DKBUILD_MODNAME=\"x\"", "-DKBUILD_BASENAME=\"x\"", "-DKBUILD_MODFILE=\"x\"", "-w", "-g0"})
      command.argv.emplace_back(name);
    if (assembly) command.argv.insert(command.argv.end(), {"-D__ASSEMBLY__", "-D__ASSEMBLER__"});
    if (unit.source.ends_with(".lds.S")) command.argv.emplace_back("-DLINKER_SCRIPT");
    command.argv.push_back(fmt::format("-fmacro-prefix-map={}/=", root.string()));
    if (step == Step::preprocess)
      command.argv.insert(command.argv.end(), {"-E", "-P"});
    else
      command.argv.emplace_back(step == Step::assembly ? "-S" : "-c");
    if (assembly) command.argv.insert(command.argv.end(), {"-x", "assembler-with-cpp"});
    command.argv.insert(command.argv.end(), {"-o", output(number).string(), source.string()});
    return command;
  }

  const Base& base_;
  PatchedView& view_;
  const CompileCommand& like_;
  std::string arch_;
  std::vector<std::string> files_;
  std::span<const HeaderChange> changes_;
  Executor& executor_;
  fs::path scratch_;
  const fs::path stand_ins_ = scratch_ / "stand-ins";
  const unsigned jobs_ = std::max(1U, std::thread::hardware_concurrency());
  std::vector<OtherReader> readers_;
  std::vector<size_t> own_folders_, unknown_;  // see built_by_itself()
  std::set<size_t> not_built_;
  std::map<size_t, std::vector<std::string>> other_values_;
};

}  // namespace

std::vector<OtherReader> other_readers(const fs::path& source, string_view arch) {
  std::vector<OtherReader> readers;
  std::vector<std::string> other_architectures;
  for (const auto& entry : entries_if_any(source / "arch"))
    if (const std::string name = entry.path().filename().string(); name != arch) other_architectures.push_back(name);
  // The EFI stub has files of all of them in one folder: arm64-stub.c.
  const auto foreign = [&](const fs::path& file) {
    const std::string name = file.filename().string();
    return std::ranges::any_of(other_architectures, [&](const std::string& other) { return name.starts_with(other); });
  };
  const auto look = [&](const fs::path& folder) {
    std::error_code missing;
    if (!fs::is_directory(source / folder, missing)) return;
    walk(source / folder, [&](const fs::directory_entry& entry) {
      OtherReader reader = classify(entry.path().lexically_relative(source).string(), arch);
      if (!reader.path.empty() && !foreign(entry.path()) &&
          (reader.path.ends_with(".c") || reader.path.ends_with(".S")))
        readers.push_back(std::move(reader));
      return true;
    });
  };
  look(fmt::format("arch/{}", arch));
  for (const char* folder : {"drivers/firmware/efi/libstub", "lib/vdso", "lib/crypto", "certs"}) look(folder);
  std::error_code missing;
  for (const char* path : generated_sources)
    if (fs::exists(source / path, missing)) readers.push_back(classify(path, arch));
  std::ranges::sort(readers, {}, &OtherReader::path);
  return readers;
}

std::vector<OtherReading> image_copies(const fs::path& source, string_view arch, std::span<const std::string> files) {
  std::set<std::string, std::less<>> asked;
  for (const std::string& file : files)
    if (file.ends_with(".c")) asked.insert(file);
  std::vector<OtherReading> copies;
  if (asked.empty()) return copies;
  for (OtherReader& reader : other_readers(source, arch)) {
    if (!reader.path.ends_with(".c")) continue;
    std::set<std::string> included;
    for (const auto& include : scan_includes(read_file_if_any(source / reader.path)).named)
      for (const fs::path& from : {fs::path(reader.path).parent_path(), fs::path()})
        if (auto path = (from / include.name).lexically_normal().string(); asked.contains(path) && path != reader.path)
          included.insert(std::move(path));
    if (!included.empty()) copies.push_back({std::move(reader), {included.begin(), included.end()}});
  }
  return copies;
}

OtherReadings other_readings(const Base& base, PatchedView& view, std::span<const CompileCommand> kernel,
                             string_view arch, std::span<const std::string> files,
                             std::span<const HeaderChange> changes, Executor& executor, const fs::path& scratch) {
  if (std::ranges::all_of(kernel, [](const CompileCommand& unit) { return !unit.module.empty(); })) return {};
  return Readings(base, view, kernel, arch, files, changes, executor, scratch).run();
}

}  // namespace kpatch
