#include "support/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <memory>

#include "support/error.h"
#include "support/files.h"
#include "support/signals.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

class Packing {
 public:
  explicit Packing(const fs::path& target) : file_(target), name_(target.string()), writer_(archive_write_new()) {
    archive_write_set_format_pax(writer_.get());  // the other one of libarchive leaves parts of a second out
    require(archive_write_add_filter_zstd(writer_.get()));
    require(archive_write_open_fd(writer_.get(), file_.fd()));
  }

  void add(const PackedTree& tree) {
    if (std::error_code absent; fs::is_regular_file(fs::symlink_status(tree.folder, absent))) {
      add(tree.folder, tree.name);
      return;
    }
    walk(tree.folder, [&](const fs::directory_entry& entry) {
      check_interrupted();
      add(entry.path(), fs::path(tree.name) / entry.path().lexically_relative(tree.folder));
      return true;
    });
  }

  void finish() {
    require(archive_write_close(writer_.get()));
    file_.commit();
  }

 private:
  struct Free {
    void operator()(archive* writer) const { archive_write_free(writer); }
  };
  void require(int status) {
    if (status < ARCHIVE_WARN)
      throw Error(fmt::format("can't write {}: {}", name_, archive_error_string(writer_.get())));
  }

  void add(const fs::path& path, const fs::path& name) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) throw Error(fmt::format("can't read {}", path.string()));
    const bool regular = S_ISREG(info.st_mode);
    if (!regular && !S_ISDIR(info.st_mode) && !S_ISLNK(info.st_mode)) return;
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(), archive_entry_free);
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_mode(entry.get(), info.st_mode);
    archive_entry_set_mtime(entry.get(), info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    if (S_ISLNK(info.st_mode)) archive_entry_set_symlink(entry.get(), fs::read_symlink(path).c_str());
    archive_entry_set_size(entry.get(), regular ? info.st_size : 0);
    require(archive_write_header(writer_.get(), entry.get()));
    if (regular) add_contents(path, static_cast<uint64_t>(info.st_size));
  }

  void add_contents(const fs::path& path, uint64_t size) {
    std::ifstream in(path, std::ios::binary);
    std::array<char, 1 << 16> block{};
    uint64_t done = 0;
    while (in.read(block.data(), block.size()) || in.gcount() > 0) {
      const auto length = static_cast<size_t>(in.gcount());
      if (archive_write_data(writer_.get(), block.data(), length) < 0) require(ARCHIVE_FATAL);
      done += length;
    }
    if (done != size) throw Error(fmt::format("{} can't be read, or is written to meanwhile", path.string()));
  }

  AtomicFile file_;
  std::string name_;
  std::unique_ptr<archive, Free> writer_;
};

}  // namespace

void pack(const fs::path& target, std::span<const PackedTree> trees) {
  Packing packing(target);
  for (const PackedTree& tree : trees) packing.add(tree);
  packing.finish();
}

}  // namespace kpatch
