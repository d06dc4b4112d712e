// The command line of klp-build.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kpatch {

// --file-funcs and its longer forms; conf and module may be empty.
struct FileFunctions {
  std::string conf, module, file;
  std::vector<std::string> functions;
};

struct KlpCommandLine {
  std::string command;
  unsigned verbosity = 0;
  std::string name, filter, skips, cve, conf, module, arch;
  std::filesystem::path data_dir, push_to, test_script;
  std::vector<std::string> archs, fixes, add_patches, avoid_ext, codestreams;
  std::vector<FileFunctions> files;
  unsigned patch_version = 1;
  bool no_check = false, full_checks = false, no_patches = false, force = false, exit_code = false, fast = false;
  bool ignore_errors = false, no_test = false;                                          // extract, format-patches
  bool no_run = false;                                                                  // prepare-tests
  bool download = false, update = false, verify_all = false, cleanup_obsolete = false;  // data
  std::filesystem::path job;                                                            // run-job
};

// Nothing: help or the version was asked for, and is printed. Throws Error.
std::optional<KlpCommandLine> parse_klp_options(int argc, const char* const* argv);

}  // namespace kpatch
