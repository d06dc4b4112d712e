// Which base a command line asks for.
//
//     -a 6.1.0-9-cloud-amd64          stock, everything from packages
//     -s src -v vmlinux [-c …]        stock, with the user's files
//     -s src -c config                own: built here, once
//     --packages DIR [-a R]           stock, everything from packages that somebody fetched
//     (nothing)                       stock, the release that runs
//
// A stock kernel was built elsewhere; all we need is a prepared O= folder that compiles as its build did. Its vmlinux
// decides: release, version, compiler and architecture are compared with it before anything is made, because a base
// of the wrong source gives a livepatch that loads and then corrupts.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "arch/arch.h"
#include "elf/elf.h"
#include "kernel/base-parts.h"
#include "kernel/source-tree.h"
#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

void require_file(const fs::path& path, const char* option, bool want_folder = false) {
  std::error_code error;
  if (path.empty()) return;
  if (!fs::exists(path, error)) throw Error(fmt::format("{} {}: no such file", option, path.string()));
  if (want_folder != fs::is_directory(path, error))
    throw Error(fmt::format("{} {}: {}", option, path.string(), want_folder ? "not a folder" : "a folder, not a file"));
  if (access(path.c_str(), R_OK) != 0)
    throw Error(fmt::format("{} {}: no permission to read it", option, path.string()));
}

// The first of the places that exists; empty when none does.
fs::path first_of(std::initializer_list<fs::path> places) {
  std::error_code ignored;
  for (auto& place : places)
    if (!place.empty() && fs::exists(place, ignored)) return place;
  return {};
}

// What the options give, and what lies beside a given vmlinux. The source is the user's, not a copy yet.
KernelFiles given_files(const BaseOptions& options, const std::string& release, Cache& cache, Executor& executor,
                        Console& console) {
  KernelFiles files;
  files.release = release;
  files.vmlinux = options.vmlinux;
  fs::path beside = options.vmlinux.empty() ? fs::path() : options.vmlinux.parent_path();
  files.config = options.config;
  files.symvers = options.symvers;
  files.modules = options.modules;
  if (!options.vmlinux.empty()) {
    if (files.config.empty())
      files.config = first_of({beside / ".config", options.source.empty() ? fs::path() : options.source / ".config"});
    if (files.symvers.empty()) files.symvers = first_of({beside / "Module.symvers"});
    // A build folder: its modules lie below it.
    if (files.modules.empty() && !first_of({beside / "modules.order"}).empty()) files.modules = beside;
  }
  std::error_code ignored;
  // lib/modules/R as packages have it, depmod has run or not; a build folder has a kernel folder too.
  if (!files.modules.empty() && fs::is_directory(files.modules / "kernel", ignored) &&
      !fs::exists(files.modules / "scripts", ignored))
    files.modules /= "kernel";
  if (!options.source.empty()) {
    files.source = options.source;
  } else if (!options.source_package.empty()) {
    KernelFiles unpacked = unpack_source_package(options.source_package, options.release, {cache, executor, console});
    files.source = unpacked.source;
    files.source_identity = unpacked.source_identity;
  }
  return files;
}

}  // namespace

CacheKey key_of(const BaseInputs& inputs) {
  CacheKey key;
  key.add("base", inputs.kind)
      .add("release", inputs.release)
      .add("source", inputs.source)
      .add("source path", inputs.source_path)
      .add("config", digest_of(inputs.config))
      .add("Module.symvers", digest_of(inputs.symvers))
      .add("vmlinux", inputs.vmlinux)
      .add("targets", inputs.targets)
      .add("compiler", inputs.compiler);
  for (const auto& [tool, version] : inputs.tools) key.add(tool, version);
  // Its host programs run there alone.
  if (!inputs.root.empty()) key.add("toolchain", inputs.root);
  if (!inputs.code_makers.empty()) key.add("compiler's files", inputs.code_makers);
  key.add("checks", inputs.skip_compiler_check ? "without the compiler's" : "all");
  return key;
}

Finding why_base_is_made(const Cache& cache, const CacheKey& key, std::string_view kernel) {
  const std::vector<std::string> fields = cache.why_missing("base", key);
  const std::string why = fields.empty()
                              ? "no base was in the cache"
                              : fmt::format("the nearest one in the cache has another {}", fmt::join(fields, ", "));
  return {"base", Severity::notice, {}, fmt::format("the base of {} was made: {}", kernel, why), {}};
}

std::string release_of_banner(std::string_view banner) {
  constexpr std::string_view start = "Linux version ";
  if (!banner.starts_with(start)) return "";
  banner.remove_prefix(start.size());
  return std::string(banner.substr(0, banner.find(' ')));
}

std::string version_of_banner(std::string_view banner) {
  auto numbers = [](std::string_view text) {
    size_t end = text.find_first_not_of("0123456789.");
    return std::string(text.substr(0, end));
  };
  std::string release = release_of_banner(banner), version = numbers(release);
  std::string package = package_version_of_banner(banner);
  if (package.empty()) {
    if (auto rc = release.find("-rc"); rc == version.size()) {
      size_t end = release.find_first_not_of("0123456789", rc + 3);
      version = release.substr(0, end);
    }
    return version;
  }
  // "6.1.192" for release 6.1.0-56; never a package version of another series.
  auto series = [](const std::string& v) { return v.substr(0, v.find('.', v.find('.') + 1)); };
  return series(package) == series(version) ? package : version;
}

fs::path vmlinux_index(const fs::path& vmlinux, Cache& cache, Console& console) {
  CacheKey key;
  const std::string digest = cache.file_digest(vmlinux);
  key.add("index", std::to_string(index_version)).add("vmlinux", digest);
  if (auto made = cache.find("vmlinux", key)) return *made / "index";
  Console::Stage stage(console, "reading vmlinux");
  stage.note("from the store");
  return cache.entry("vmlinux", key, "the index of " + vmlinux.string(), [&](const fs::path& directory) {
    stage.note("");
    Binary::open(vmlinux).write_index(directory / "index");
    // An index of another vmlinux would be found by this one's digest for ever.
    if (cache.file_digest(vmlinux) != digest) throw Error(changed_message(vmlinux));
  }) / "index";
}

void require_parts(uint16_t machine) {
  if (std::string missing = missing_parts(machine); !missing.empty()) throw Error(missing);
}

void check_vmlinux(const Binary& vmlinux, const fs::path& path, std::string_view source_version) {
  require_parts(vmlinux.machine());
  if (vmlinux.relocatable()) throw Error(fmt::format("{} is no vmlinux: it is not linked", path.string()));
  if (vmlinux.symbols().size() < 1000)
    throw Error(fmt::format("{} is stripped: livepatches need its symbol table (the one of a debug package has it)",
                            path.string()));
  if (vmlinux.banner().empty()) throw Error(fmt::format("{} is no vmlinux: it has no linux_banner", path.string()));
  std::string version = version_of_banner(vmlinux.banner());
  if (source_version.empty() || version == source_version) return;
  const auto series = [](std::string_view v) { return v.substr(0, v.find('.', v.find('.') + 1)); };
  // check_signature() looks closer.
  if (vmlinux.banner().find("-Ubuntu ") != std::string_view::npos && series(version) == series(source_version)) return;
  // "6.13.0" is how a banner writes version 6.13.
  throw Error(fmt::format("the source is not the kernel's: source is {}, vmlinux is {} ({})", source_version, version,
                          release_of_banner(vmlinux.banner())));
}

void check_signature(const KernelConfig& config, std::string_view source_version) {
  const std::string_view signature = trimmed(config.value("VERSION_SIGNATURE"), "\"");
  if (!signature.starts_with("Ubuntu ")) return;
  const std::string_view version = signature.substr(signature.rfind(' ') + 1);
  if (version != source_version)
    throw Error(fmt::format("the source is not the kernel's: source is {}, the kernel is {} ({})", source_version,
                            version, signature));
}

void require_build_tools() {
  std::vector<std::string> missing;
  const char* path = std::getenv("PATH");
  for (const char* program : {"make", "flex", "bison", "bc", "ld"}) {
    bool there = std::ranges::any_of(fields_of(path ? path : "/usr/bin:/bin", ':'), [&](std::string_view folder) {
      return access((fs::path(folder) / program).c_str(), X_OK) == 0;
    });
    if (!there) missing.emplace_back(program);
  }
  if (!missing.empty())
    throw Error(fmt::format("the kernel's build needs programs that aren't here: {}{}", fmt::join(missing, ", "),
                            package_hint(missing)));
}

std::string prepared_release(const fs::path& kbuild) {
  std::string header = read_file(kbuild / "include/generated/utsrelease.h");
  size_t line = header.find("#define UTS_RELEASE \""), start = header.find('"', line);
  size_t end = start == std::string::npos ? start : header.find('"', start + 1);
  if (line == std::string::npos || end == std::string::npos)
    throw Error(fmt::format("{} names no release", (kbuild / "include/generated/utsrelease.h").string()));
  return header.substr(start + 1, end - start - 1);
}

Base make_base(const BaseOptions& given, Cache& cache, Executor& executor, Console& console) {
  BaseOptions options = given;
  for (auto* path : {&options.source, &options.config, &options.vmlinux, &options.symvers, &options.modules,
                     &options.source_package, &options.packages})
    if (!path->empty()) *path = fs::absolute(*path).lexically_normal();
  if (options.source.has_relative_path() && !options.source.has_filename())
    options.source = options.source.parent_path();
  require_file(options.source, "--sourcedir", true);
  require_file(options.config, "--config");
  require_file(options.vmlinux, "--vmlinux");
  require_file(options.symvers, "--symvers");
  require_file(options.modules, "--modules", true);
  require_file(options.source_package, "--sourcerpm");
  require_build_tools();
  if (options.vmlinux.empty() && options.release.empty() && !options.source.empty() && options.packages.empty())
    return make_own_base(options, cache, executor, console);

  std::string release = options.release;
  if (!options.vmlinux.empty()) {
    Binary vmlinux = Binary::open(vmlinux_index(options.vmlinux, cache, console));
    check_vmlinux(vmlinux, options.vmlinux, options.source.empty() ? "" : kernel_version(options.source));
    // Without a config its packages would be looked for, and those are this machine's.
    const uint16_t machine =
        options.config.empty() ? host_machine() : arch_of(KernelConfig::read(options.config)).elf.machine;
    if (vmlinux.machine() != machine)
      throw Error(fmt::format("{} is of another architecture: {}, {} is {}", options.vmlinux.string(),
                              arch_name(vmlinux.machine()), options.config.empty() ? "this machine's" : "the config's",
                              arch_name(machine)));
    std::string says = release_of_banner(vmlinux.banner());
    auto series = parse_release(release);
    bool other = series && series->is_series ? !says.starts_with(series->series + ".") : says != release;
    if (!release.empty() && other)
      throw Error(fmt::format("{} is of release {}, not of {}", options.vmlinux.string(), says, release));
    release = says;
  }
  if (release.empty() && options.packages.empty()) {
    utsname running;
    uname(&running);
    release = running.release;
  }
  // A wrong series is told before packages are fetched, a wrong version before the source is copied: both take a while.
  if (auto name = parse_release(release); name && !options.source.empty())
    if (std::string version = kernel_version(options.source); !version.starts_with(name->series + "."))
      throw Error(fmt::format("the source is not the kernel's: source is {}, the kernel is {}", version, release));
  KernelFiles files = given_files(options, release, cache, executor, console);
  bool complete = !files.vmlinux.empty() && !files.config.empty() && !files.symvers.empty() && !files.modules.empty() &&
                  !files.source.empty();
  if (!complete)
    files = find_release(release, files,
                         {cache, executor, console, options.archive, options.archive_key, {}, options.packages});
  if (!options.source.empty()) {
    const Binary vmlinux = Binary::open(vmlinux_index(files.vmlinux, cache, console));
    check_vmlinux(vmlinux, files.vmlinux, kernel_version(options.source));
    SourceTree tree = private_copy(options.source, cache, executor, console);
    files.source = tree.path;
    files.source_identity = tree.identity;
  }
  return make_stock_base(options, files, cache, executor, console);
}

}  // namespace kpatch
