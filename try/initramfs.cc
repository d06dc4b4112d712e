#include "try/initramfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>

#include "support/error.h"

namespace kpatch {

namespace fs = std::filesystem;

// usr/gen_initramfs.sh and lib/decompress.c have the same list.
void require_initramfs(const fs::path& file) {
  using namespace std::string_view_literals;
  constexpr std::array kinds = {"070701"sv,
                                "070702"sv,
                                "\x1f\x8b"sv,
                                "\x1f\x9e"sv,
                                "BZh"sv,
                                "\x5d\0\0"sv,
                                "\xfd"
                                "7zXZ\0"sv,
                                "\x89LZO"sv,
                                "\x02\x21\x4c\x18"sv,
                                "\x28\xb5\x2f\xfd"sv};
  std::string head(8, '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(in.gcount()));
  if (std::ranges::none_of(kinds, [&](std::string_view magic) { return head.starts_with(magic); }))
    throw Error(
        fmt::format("{}: it is no initramfs: a kernel unpacks cpio (newc), plain or compressed", file.string()));
}

Initramfs::Initramfs(const fs::path& file) : file_(file), archive_(archive_write_new()) {
  if (archive_ == nullptr || archive_write_set_format_cpio_newc(archive_) != ARCHIVE_OK ||
      archive_write_open_filename(archive_, file.c_str()) != ARCHIVE_OK)
    throw Error(fmt::format("can't write {}", file.string()));
}

Initramfs::~Initramfs() { archive_write_free(archive_); }

void Initramfs::add_entry(const std::string& path, unsigned type, std::string_view contents) {
  const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), path.c_str());
  archive_entry_set_filetype(entry.get(), type);
  archive_entry_set_perm(entry.get(), 0755);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(contents.size()));
  archive_entry_set_nlink(entry.get(), 1);
  if (archive_write_header(archive_, entry.get()) != ARCHIVE_OK ||
      archive_write_data(archive_, contents.data(), contents.size()) != static_cast<la_ssize_t>(contents.size()))
    throw Error(fmt::format("can't write {}: {}", file_.string(), archive_error_string(archive_)));
}

void Initramfs::add(const std::string& path, std::string_view contents) {
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
    if (folders_.insert(path.substr(0, slash)).second) add_entry(path.substr(0, slash), AE_IFDIR, {});
  add_entry(path, AE_IFREG, contents);
}

void Initramfs::finish(const fs::path& behind) {
  if (archive_write_close(archive_) != ARCHIVE_OK) throw Error(fmt::format("can't write {}", file_.string()));
  if (behind.empty()) return;
  std::ofstream out(file_, std::ios::binary | std::ios::app);
  std::ifstream in(behind, std::ios::binary);
  if (!in || !(out << in.rdbuf()) || !out.flush())
    throw Error(fmt::format("can't put {} behind {}", behind.string(), file_.string()));
}

}  // namespace kpatch
