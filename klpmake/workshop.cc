// The kernel is found as kpatch-build finds it: a folder with vmlinux says which release, and its source, config and
// compiler come from the packages of that release, prepared once and kept in the cache.
//
//     -b /usr/lib/debug/boot       vmlinux, or Debian's vmlinux-6.12.117+deb12-cloud-amd64; below it also boot/ and
//                                  usr/lib/debug/boot/
//     -s linux-6.12                another source than the package's
#include "klpmake/workshop.h"

#include <fmt/core.h>

#include <algorithm>

#include "extract/extract.h"
#include "support/data.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

fs::path vmlinux_in(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const char* below : {"", "boot", "lib/debug/boot", "usr/lib/debug/boot"}) {
    for (const auto& entry : entries_if_any(below[0] == '\0' ? folder : folder / below)) {
      const string name = entry.path().filename().string();
      std::error_code unknown;
      if ((name == "vmlinux" || name.starts_with("vmlinux-")) && entry.is_regular_file(unknown))
        found.push_back(entry.path());
    }
    if (!found.empty()) break;
  }
  if (found.empty()) throw Error(fmt::format("{}: there is no vmlinux in it", folder.string()));
  if (found.size() > 1)
    throw Error(fmt::format("{}: has {} and {}; name a folder with one", folder.string(), found[0].filename().string(),
                            found[1].filename().string()));
  return found.front();
}

Options options_of(const fs::path& source, const fs::path& debug, const fs::path& cache) {
  Options options;
  if (!debug.empty()) options.vmlinux = vmlinux_in(fs::absolute(debug));
  // What step 0 wrote down of the release's own source.
  const bool ours = !source.empty() && fs::absolute(source).string().starts_with(cache.string() + "/");
  if (!source.empty() && !ours) {
    options.source = fs::absolute(source);
    if (!fs::is_directory(options.source / "kernel"))
      throw Error(fmt::format("{}: is no kernel source", source.string()));
  }
  return options;
}

Base prepared(const Options& options, Console& console, Cache& cache, Executor& executor, const fs::path& scratch) {
  enter_sandbox(executor, writable_folders(cache.root()), scratch);
  const Build build{options, console, executor, cache, scratch, {}};
  Result<Base> base = prepare_base(build);
  for (const Finding& finding : base.findings)
    if (finding.severity != Severity::notice) console.warning(text_of(finding));
  return std::move(*base.value);
}

}  // namespace

fs::path Folder::patch() const {
  std::vector<string> found;
  for (const auto& entry : entries_of(path))
    if (entry.path().extension() == ".patch") found.push_back(entry.path().filename().string());
  if (found.empty()) throw Error(fmt::format("{}: there is no .patch in the folder", path.string()));
  if (found.size() > 1)
    throw Error(fmt::format("{}: has {} patches, {}; exactly one is expected", path.string(), found.size(),
                            joined(found, ", ")));
  return path / found.front();
}

Folder folder_of(const fs::path& path) {
  Folder folder{fs::canonical(path), {}};
  folder.name = folder.path.filename().string();
  const bool plain =
      folder.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == string::npos && !folder.name.empty();
  if (!plain || folder.name.size() > 55)
    throw Error(fmt::format("the folder's name, '{}', is the module's: at most 55 of a-z, 0-9 and _", folder.name));
  return folder;
}

std::optional<Conf> read_conf(const Folder& folder) {
  for (const char* name : {"klpsrc.conf", "_klpsrc.conf"}) {
    if (!fs::exists(folder.file(name))) continue;
    Conf conf = parse_conf(read_file(folder.file(name)), name);
    if (!conf.name.empty() && conf.name != folder.name)
      throw Error(fmt::format("{}: obj-m is {}, and the folder is {}: the module is called as the folder", name,
                              conf.name, folder.name));
    return conf;
  }
  return std::nullopt;
}

Workshop::Workshop(const fs::path& source, const fs::path& debug, unsigned verbosity)
    : console_(verbosity),
      cache_(Cache::default_root(), console_),
      executor_(new_log(cache_.root() / "logs"), [&](std::string_view line) { console_.command(line); }),
      scratch_(cache_.scratch()),
      options_(options_of(source, debug, cache_.root())),
      base_(prepared(options_, console_, cache_, executor_, scratch_.path())),
      symvers_(Symvers::read(base_.symvers)),
      shipped_(std::make_unique<ShippedBinaries>(base_)) {}

CompileCommand Workshop::command_of(const string& source, const string& module) {
  if (!fs::exists(base_.source / source))
    throw ExitError(42, fmt::format("{}: the kernel's source has no such file", source));
  std::vector<CompileCommand> found = commands_for_source(base_, executor_, source);
  const auto owner = [](const CompileCommand& command) {
    return command.module.empty() ? string("vmlinux") : module_name_of(command.module);
  };
  const bool built = !found.empty();
  std::vector<string> owners;
  for (const CompileCommand& command : found) owners.push_back(owner(command));
  if (!module.empty())
    std::erase_if(found, [&](const CompileCommand& c) { return owner(c) != module_name_of(module); });
  if (!built)
    throw ExitError(42, fmt::format("{}: {} doesn't build it: its option is off, or another file includes it", source,
                                    base_.release));
  if (found.empty())
    throw ExitError(42, fmt::format("{}: is part of {}, not of {}", source, joined(owners, ", "), module));
  if (found.size() > 1)
    throw ExitError(
        42, fmt::format("{}: is part of {}: name one by module-name in klpsrc.conf", source, joined(owners, ", ")));
  return std::move(found.front());
}

const Binary& Workshop::running(const string& module) {
  if (module.empty()) return shipped_->object(module);
  const auto known = running_.find(module);
  if (known != running_.end()) return known->second;
  const std::vector<string> modules{module};
  unpack_debug_modules(base_, modules, cache_, executor_, console_);
  return running_.emplace(module, Binary::open(parent_of_module(base_, module))).first->second;
}

std::vector<string> Workshop::words(const CompileCommand& command, Variant variant, PatchedView& view) const {
  const CompileSettings settings{base_, view, scratch_.path(), data_file("kmod-template")};
  return bare_command(compile_arguments(command, variant, settings, scratch_.path() / "unit.o",
                                        scratch_.path() / "unit.d", has_runtime_constants(base_)));
}

void Workshop::compile(std::vector<string> words, const fs::path& output, const string& what) {
  words.insert(words.end(), {"-c", "-o", output.string()});
  const CommandResult result = executor_.run({std::move(words), base_.kbuild, {}});
  if (!result.ok()) throw Error(fmt::format("{} can't be compiled:\n{}", what, result.output));
}

}  // namespace kpatch
