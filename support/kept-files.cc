// FOLDER/KEY is the file, FOLDER/KEY.sum its digest, written last and read back at each use: what a killed run, a full
// disk or anybody else left there is found by it. A copy, not a link, is handed out, so that who gets it may change it,
// and the limit may remove it meanwhile.
#include "support/kept-files.h"

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

fs::path sum_of(const fs::path& file) { return fs::path(file) += ".sum"; }

}  // namespace

KeptFiles::KeptFiles(fs::path folder, uint64_t limit) : folder_(std::move(folder)), limit_(limit) {}

bool KeptFiles::fetch(const std::string& key, const fs::path& to) const {
  const fs::path file = folder_ / key;
  const std::string sum = read_file_if_any(sum_of(file));
  if (sum.empty()) return false;
  const std::string contents = read_file_if_any(file);
  if (digest_of(contents) != sum) return false;
  write_file(to, contents, Flush::no);
  std::error_code ignored;
  fs::last_write_time(sum_of(file), fs::file_time_type::clock::now(), ignored);
  return true;
}

void KeptFiles::keep(const std::string& key, const fs::path& file) const {
  try {
    fs::create_directories(folder_);
    const std::string contents = read_file(file);
    write_file(folder_ / key, contents, Flush::no);
    write_file(sum_of(folder_ / key), digest_of(contents), Flush::no);
    stay_within_limit();
  } catch (const Error&) {
  } catch (const fs::filesystem_error&) {
  }
}

void KeptFiles::stay_within_limit() const {
  struct Kept {
    fs::file_time_type used;
    fs::path file;
    uint64_t size;
  };
  std::vector<Kept> all;
  uint64_t total = 0;
  for (const fs::directory_entry& entry : entries_of(folder_)) {
    if (entry.path().extension() != ".sum") continue;
    fs::path file = entry.path();
    file.replace_extension();
    std::error_code gone;
    const uint64_t size = fs::file_size(file, gone);
    if (gone) continue;
    total += size;
    all.push_back({entry.last_write_time(), std::move(file), size});
  }
  if (total <= limit_) return;
  std::ranges::sort(all, {}, &Kept::used);
  for (const Kept& kept : all) {
    std::error_code ignored;
    fs::remove(sum_of(kept.file), ignored);
    fs::remove(kept.file, ignored);
    total -= kept.size;
    if (total <= limit_) break;
  }
}

}  // namespace kpatch
