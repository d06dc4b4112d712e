// What a report of a failed build needs, in one archive.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "kpatch-build/build-report.h"
#include "kpatch-build/stages.h"
#include "support/scratch.h"

namespace kpatch {

// What is larger is left out, and named in support.json.
struct SupportLimits {
  uint64_t file = uint64_t{16} << 20;  // bytes
  uint64_t all = uint64_t{64} << 20;
};

// Gathers while the build goes, since its scratch folder goes with it.
class SupportBundle {
 public:
  explicit SupportBundle(SupportLimits limits = {}) : limits_(limits) {}

  // At the build's end, however it ends: the log, the objects of the files that were compiled twice, diff objects and
  // modules, what the compiler says of itself. Throws nothing but Interrupted: what can't be had is left out.
  void gather(const Build& build);

  // Writes it, whole or not at all, with the report and the patches; says before what is in it. facts: of the build. Throws Error.
  void write(const std::filesystem::path& target, const BuildFacts& facts, const Options& options,
             Console& console) const;

 private:
  void keep(const std::filesystem::path& file, const std::filesystem::path& name);

  SupportLimits limits_;
  Scratch folder_;
  uint64_t size_ = 0;  // bytes, of what is in the folder
  std::vector<std::string> left_out_;
};

// An address without what may be a secret: user, password, query, fragment.
std::string plain_address(std::string_view address);

// The same for all addresses in a text.
std::string with_plain_addresses(std::string_view text);

}  // namespace kpatch
