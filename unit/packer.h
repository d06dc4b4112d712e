// Archives and compressed texts, made in memory by libarchive.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace kpatch {

// What libarchive makes of the entries in this format.
class Packer {
 public:
  explicit Packer(const std::function<void(archive*)>& setup) : bytes_(1 << 22, '\0'), archive_(archive_write_new()) {
    setup(archive_);
    archive_write_set_bytes_in_last_block(archive_, 1);
    EXPECT_EQ(archive_write_open_memory(archive_, bytes_.data(), bytes_.size(), &used_), ARCHIVE_OK)
        << archive_error_string(archive_);
  }

  Packer& file(const std::string& name, const std::string& text, unsigned mode = 0644) {
    return add(name, text, [&](archive_entry* e) {
      archive_entry_set_filetype(e, AE_IFREG);
      archive_entry_set_perm(e, mode);
      archive_entry_set_mtime(e, 1'000'000'000, 0);
    });
  }
  Packer& symlink(const std::string& name, const std::string& to) {
    return add(name, "", [&](archive_entry* e) {
      archive_entry_set_filetype(e, AE_IFLNK);
      archive_entry_set_symlink(e, to.c_str());
    });
  }
  Packer& hardlink(const std::string& name, const std::string& to) {
    return add(name, "", [&](archive_entry* e) {
      archive_entry_set_filetype(e, AE_IFREG);
      archive_entry_set_hardlink(e, to.c_str());
    });
  }

  Packer& special(const std::string& name, unsigned type) {  // AE_IFCHR, …
    return add(name, "", [&](archive_entry* e) {
      archive_entry_set_filetype(e, type);
      archive_entry_set_perm(e, 0666);
      archive_entry_set_rdev(e, 0x103);
    });
  }

  std::string bytes() {
    archive_write_close(archive_);
    archive_write_free(archive_);
    return bytes_.substr(0, used_);
  }

 private:
  Packer& add(const std::string& name, const std::string& text, const std::function<void(archive_entry*)>& set) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    set(entry);
    archive_entry_set_size(entry, static_cast<la_int64_t>(text.size()));
    EXPECT_EQ(archive_write_header(archive_, entry), ARCHIVE_OK) << archive_error_string(archive_);
    archive_write_data(archive_, text.data(), text.size());
    archive_entry_free(entry);
    return *this;
  }

  std::string bytes_;
  archive* archive_;
  size_t used_ = 0;
};

// A text through one of libarchive's compressors.
inline std::string packed(const std::string& text, int (*filter)(archive*)) {
  return Packer([&](archive* a) { archive_write_set_format_raw(a), filter(a); }).file("x", text).bytes();
}

}  // namespace kpatch
