// All that differs from one distribution to the next, a record each: what its kernels are called, where their files
// lie, how its packages are fetched and unpacked, and which of them holds a program.
#pragma once

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/cache.h"
#include "kernel/distro/release-name.h"
#include "support/console.h"
#include "support/executor.h"

namespace kpatch {

struct KernelFiles {
  std::string release;           // "6.12.117+deb12-cloud-amd64"
  std::string version;           // of the packages, "6.12.117-1~deb12u1"; empty when not known
  std::filesystem::path source;  // a clean tree
  std::string source_identity;   // what tells this source from another
  std::filesystem::path config;
  std::filesystem::path vmlinux;  // with symbols and DWARF
  std::filesystem::path symvers;
  std::filesystem::path modules;        // modules / "net/ipv4/x.ko", or .ko.xz
  std::filesystem::path debug_modules;  // the same, uncompressed and with DWARF, where there are
  std::filesystem::path debug_package;  // what debug_modules is filled from when one is wanted; empty: it is full
  std::filesystem::path image;          // bzImage, where it is known
};

// The programs that a kernel was built with, as its config and its banner say; empty where they don't.
struct ToolchainNeeds {
  std::string compiler{};    // CC_VERSION_TEXT, "gcc-14 (Debian 14.2.0-19) 14.2.0"
  std::string assembler{};   // AS_VERSION, "24400"
  std::string linker{};      // LD_VERSION; before 5.12 "244000000"
  std::string pahole{};      // PAHOLE_VERSION, "130"; since 5.19
  std::string rustc{};       // RUSTC_VERSION_TEXT, "rustc 1.85.1 (4eb161250 2025-03-15)"; with CONFIG_RUST alone
  std::string bindgen{};     // BINDGEN_VERSION_TEXT, "bindgen 0.71.1"
  bool gcc_plugins = false;  // CONFIG_GCC_PLUGINS
  std::string cross{};       // what programs for another architecture's kernel begin with, "aarch64-linux-gnu-"
};

// A kernel that an archive has.
struct StockKernel {
  std::string suite, release, version;
  std::string missing{};  // a package without which nothing can be built for it; empty: all are there
};

// What a record's functions work with.
struct DistroTools {
  Cache& cache;
  Executor& executor;
  Console& console;
  std::string archive{};                // --archive: where packages are fetched from; empty: as this machine does
  std::filesystem::path archive_key{};  // who signs it; empty: the distribution
  std::string suite{};                  // "trixie": of that alone, and those with more to their names; empty: any
  std::filesystem::path packages{};     // --packages: a folder of packages that somebody fetched
};

struct NeededPackage {
  std::string_view need, package;
};

// A function that is null is something that the distribution's kernels don't have, or that nobody has written yet. All
// of them throw Error where nothing else is said.
struct Distro {
  std::string_view name;

  // Which system it is: ID, or a word of ID_LIKE, in /etc/os-release.
  std::span<const std::string_view> ids{};
  // Is the release one of its kernels? By the name alone.
  bool (*matches)(std::string_view release);
  // The kernel's version that a banner stands for beside its release; empty when the banner names none.
  std::string (*version_of)(std::string_view banner) = nullptr;
  // What its packages' build gives make that is to be seen in the code, "NAME=VALUE"; none where the banner isn't its own.
  std::vector<std::string> (*build_variables)(std::string_view banner) = nullptr;

  // The files of a release that is installed as a whole, all but the source; nothing when it isn't.
  std::optional<KernelFiles> (*locate)(const std::string& release, const DistroTools& tools) = nullptr;
  // The newest release of a series (given: as the user wrote it) that can be fetched.
  std::string (*newest_release)(const ReleaseName& series, std::string_view given, const DistroTools& tools) = nullptr;
  // All kernels of its archive, by suite (where tools names one, of that), the oldest suite first. on_suite gets those of each
  // as soon as they are known, and why they aren't where a suite can't be looked into.
  void (*list)(const DistroTools& tools,
               const std::function<void(std::vector<StockKernel> kernels, const std::string& problem)>& on_suite) =
      nullptr;
  // The version of a release's packages, the newest there is; empty when it isn't known.
  std::string (*newest_version)(const std::string& release, const DistroTools& tools) = nullptr;
  // The files of a release; with_source: its source, too, which is then unpacked at the same time.
  KernelFiles (*fetch)(const std::string& release, bool with_source, const DistroTools& tools) = nullptr;
  // Adds the source of exactly files.release and files.version.
  void (*fetch_source)(KernelFiles& files, const DistroTools& tools) = nullptr;
  // Makes, in the folder, a root in which the needs' compiler and what else a kernel is built with is installed.
  // Throws Error, naming what isn't to be had.
  void (*make_toolchain)(const ToolchainNeeds& needs, std::string_view release, const std::filesystem::path& root,
                         const DistroTools& tools) = nullptr;
  // What the user does where there is no fetch or fetch_source.
  std::string_view without_fetch{};

  // Which of the kernels in a source package a release was built from, "rt"; empty: that of all flavours without patches of
  // their own.
  std::string_view (*source_flavour)(std::string_view release) = nullptr;
  // How its source packages end, ".dsc". unpack_source gets one, and makes directory/"tree" of it, of such a flavour.
  std::string_view source_package{};
  void (*unpack_source)(const std::filesystem::path& package, const std::filesystem::path& directory,
                        std::string_view flavour, const DistroTools& tools) = nullptr;
  // The folder at the top of a kernel tree that holds the packaging and nothing that is compiled, "debian/"; or empty.
  std::string_view packaging_folder{};

  // "apt-get install", and what to give it for a program ("gcc-12") or a header ("libelf.h"). Programs that aren't named
  // are in packages of their names. one_compiler: gcc-12 is in gcc.
  std::string_view install_command{};
  std::span<const NeededPackage> packages{};
  bool one_compiler = false;
};

// All that we know.
std::span<const Distro* const> distros();
// The one whose kernels are called so; null when none is.
const Distro* distro_of_release(std::string_view release);
// The one that an os-release file describes (`man os-release`); null when it is none we know.
const Distro* distro_of_system(std::string_view os_release);
// The one we run on.
const Distro* running_distro();

// " (apt-get install flex binutils)" for {"flex", "ld"}: what a message says behind the programs and headers that are
// missing. Empty on a system that we don't know, and when no package is known.
std::string package_hint(std::span<const std::string> needs, const Distro* system = running_distro());
std::string package_hint(std::initializer_list<std::string_view> needs);

// The version that a banner of one of the distributions names beside its release; empty when none does.
std::string package_version_of_banner(std::string_view banner);
// Distro::build_variables of that whose kernel it is.
std::vector<std::string> build_variables_of_banner(std::string_view banner);
// Is the path of a kernel tree one of a distribution's packaging?
bool is_packaging(std::string_view path);
// ".dsc, .src.rpm"
std::string source_package_kinds();

// The files of a release, or of the newest release of a series, "trixie:6.12-cloud" being that of one suite. Fields of `given` that aren't empty are taken as they
// are and not looked for. The release's name says which distribution it is of, else it is taken for one of `system`.
// Progress is shown. Throws Error: unknown release (with the ones there are), a package missing, a distribution that
// isn't known or not fetched from.
KernelFiles find_release(std::string_view release, const KernelFiles& given, const DistroTools& tools,
                         const Distro* system = running_distro());

// The kernel source in a source package, of that release where it is known: path and identity are set. Throws Error, naming
// a missing tool.
KernelFiles unpack_source_package(const std::filesystem::path& package, std::string_view release,
                                  const DistroTools& tools);

// The same, without the cache: makes directory/"tree".
void unpack_source_to(const std::filesystem::path& package, const std::filesystem::path& directory,
                      std::string_view release, const DistroTools& tools);

// Applies a patch that came with the package to the tree, as who built the kernel did, with that much fuzz. name: as the package
// calls it, for the message. Throws Error when it doesn't apply, or `patch` is missing.
void apply_packaged_patch(const std::filesystem::path& patch, const std::string& name,
                          const std::filesystem::path& tree, unsigned fuzz, const std::filesystem::path& package,
                          Executor& executor);

// What a tool says of `file`. Throws Error naming both, and the package of a tool that isn't there.
std::string read_by_tool(const std::vector<std::string>& argv, const std::filesystem::path& file, Executor& executor);

// Runs a tool that unpacks `file`. needs: what must be installed for it; the tool ends with 127 when it isn't.
void run_unpacker(const Command& command, std::initializer_list<std::string_view> needs,
                  const std::filesystem::path& file, Executor& executor);

}  // namespace kpatch
