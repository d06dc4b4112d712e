// ~/.config/klp-build/config: where klp-build keeps its things.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace kpatch {

struct KlpSettings {
  std::filesystem::path work_dir, data_dir;
  // Each may be empty: not given.
  std::filesystem::path codestreams;      // a CSV of one's own
  std::filesystem::path kgr_patches_dir;  // the git repository for `commit`
  std::filesystem::path tests_dir;        // kgr_patches_tests_dir
  std::filesystem::path tracker;          // a security tracker's JSON file
  std::filesystem::path cve_records;      // a folder of the kernel's CVE records
  std::filesystem::path stable_git;       // a git tree of the stable kernels; kernel_dir when it isn't given
  std::filesystem::path kernel_dir;       // a git tree of the codestreams' sources
  std::filesystem::path kernel_src_dir;   // a git tree of patches over kernels: series.conf, patches.suse
  std::vector<std::string> suites;        // of the archive; none: that of this machine
  unsigned workers = 4;
};

// Key and value, in sections [Paths] and [Settings]; a key in front of any section is one of [Paths]. "~" is `home`. file:
// for messages. Throws Error: an unknown key, a path that isn't there, a number that is none.
KlpSettings parse_settings(const std::string& text, const std::filesystem::path& file,
                           const std::filesystem::path& home);

// From the file; when there is none it is written with the defaults, and the folders are made. said: a line about that.
// KLP_WORK_DIR, KLP_DATA_DIR and KLP_KERNEL_SOURCE of the environment say otherwise.
KlpSettings read_settings(std::string& said);

}  // namespace kpatch
