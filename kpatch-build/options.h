// The command line of kpatch-build.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/kernel.h"

namespace kpatch {

enum class CacheAction : uint8_t { none, list, size, prune, drop };

struct Options {
  std::vector<std::filesystem::path> patches;  // in the order in which they apply
  std::vector<std::string> disabled;           // instead of patches: functions that shall return at once
  // The kernel. Empty: found by release.
  std::filesystem::path source;
  std::filesystem::path config;
  std::filesystem::path vmlinux;
  std::filesystem::path source_package;
  std::filesystem::path modules;
  std::filesystem::path symvers;
  std::string archversion;
  std::vector<std::string> releases;  // --archversion, each time that it is given: with --assess all count
  // The build.
  unsigned jobs = 1;
  std::vector<std::string> targets;  // empty: vmlinux and modules
  bool full = false;
  bool from_source = false;           // the module is made of extracted source
  bool both = false;                  // … of diff objects, and once more of extracted source, to compare
  std::vector<std::string> launcher;  // words in front of our own compiles
  bool sandbox = true;
  bool ignore_whitespace = false;
  std::vector<std::string> acknowledged;  // names of findings that the caller accepts
  bool skip_compiler_check = false;
  std::filesystem::path toolchain;    // a root with the kernel's compiler; empty: found or made
  std::string archive;                // where a distribution's packages are fetched from; empty: as apt does
  std::filesystem::path archive_key;  // who signs it; empty: the distribution
  std::filesystem::path packages;  // a folder of packages to take the kernel from; empty: installed, or the archive's
  bool skip_proof = false;
  // What a team shares; empty: nothing.
  std::string store;  // a folder or a URL
  std::string store_key;
  std::filesystem::path store_certificate;
  bool store_read_only = false;
  unsigned store_patience = 20;  // seconds
  // The result.
  std::string name;  // as given; empty: made from the patches
  std::filesystem::path output = ".";
  bool replace = true;
  std::vector<std::filesystem::path> previous;  // livepatches, reports or patches that the result must cover
  std::vector<std::string> fixes;               // what the patch fixes: CVEs, commits, advisories
  std::string sign_key;                         // a PEM file or a URI of PKCS#11; empty: the module isn't signed
  std::filesystem::path certificate;
  std::vector<std::filesystem::path> reports;  // by their endings: .json, .sarif, .html
  bool debug_info = false;                     // NAME.ko.debug beside the module
  std::string guide;                           // the address of the author's guide; empty: reports have no links to it
  std::filesystem::path provenance;            // a statement of all inputs; empty: none
  std::filesystem::path bundle;                // all that the build needs, for another machine; empty: none
  std::filesystem::path support_bundle;        // what a report of a fault needs; empty: none
  std::filesystem::path from_bundle;           // where the kernel's files and the patches come from; empty: elsewhere
  bool explain = false;
  bool test = false;                  // in QEMU, before it is delivered
  std::filesystem::path test_script;  // that has to fail without it, and to pass with it
  // Looking closer.
  bool assess = false;            // instead of a build
  bool json = false;              // of --assess
  std::filesystem::path way_out;  // a folder for what refused changes can be written as; empty: none
  unsigned debug = 0;
  bool skip_cleanup = false;
  std::optional<std::string> list_kernels;  // instead of a build: of this suite, or (empty) of all
  // The cache.
  CacheAction cache = CacheAction::none;  // instead of a build
  CacheLimits limits;                     // --cache-max-age, --cache-max-size, or KPATCH_CACHE_MAX_AGE, _SIZE
};

// Whether a report shows instructions. That a file lists them costs some time.
bool wants_listings(const Options& options);

// Reads the command line. Empty: --help or --version was asked for and has been printed.
// Throws Error when an option is unknown, lacks its value, or no patch is named.
std::optional<Options> parse_options(int argc, const char* const* argv);

// The module's name: `given`, or "livepatch-" and the patch's name ("livepatch-patch" for several); every other
// character than letters, digits, '_' and '-' becomes '-', at most 55 characters (kernel: MODULE_NAME_LEN).
// Throws Error when nothing usable is left.
std::string module_name(const std::string& given, const std::vector<std::filesystem::path>& patches);

// The same options as one line for modinfo: those that shape the result, without paths.
std::string options_summary(const Options& options);

}  // namespace kpatch
