// A sanitizer's descriptors name the file of each place that is watched (CONFIG_UBSAN_BOUNDS: .data..Lubsan_data7), and gcc
// writes that path as it was called, past -fmacro-prefix-map (libubsan's ubsan_source_location, gcc 10 to 16):
//
//     original   CACHE/source/…/tree/fs/proc/array.c
//     patched    CACHE/scratch/…/view/fs/proc/array.c
//
// so that each function with such a place would differ, and the module would hold a path of the machine that made it. Both become
// "fs/proc/array.c", as __FILE__ is. The string is shortened where it stands; NULs fill the rest, so that no other one moves.
#include "kpatch-build/source-paths.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "elf/elf.h"
#include "support/files.h"

namespace kpatch {

namespace fs = std::filesystem;

void shorten_source_paths(const fs::path& object, std::span<const fs::path> trees) {
  std::string image = read_file(object);
  const auto bytes = std::as_bytes(std::span(image));
  if (!ElfFile::is_elf(bytes)) return;
  std::vector<std::string> prefixes;
  for (const fs::path& tree : trees) prefixes.push_back(tree.string() + "/");
  const ElfFile elf(bytes, object.string());
  bool changed = false;
  for (const ElfSection& section : elf.sections()) {
    constexpr uint64_t strings = SHF_ALLOC | SHF_MERGE | SHF_STRINGS;
    if ((section.header.sh_flags & strings) != strings || section.header.sh_entsize != 1) continue;
    const auto offset = static_cast<size_t>(section.contents.data() - bytes.data());
    for (size_t at = offset; at < offset + section.contents.size();) {
      const std::string_view text = std::string_view(image).substr(at, offset + section.contents.size() - at);
      const size_t length = std::min(text.find('\0'), text.size());
      const auto prefix =
          std::ranges::find_if(prefixes, [&](const std::string& p) { return text.substr(0, length).starts_with(p); });
      if (prefix != prefixes.end()) {
        const std::string rest(text.substr(prefix->size(), length - prefix->size()));
        std::fill(std::copy(rest.begin(), rest.end(), image.begin() + static_cast<ptrdiff_t>(at)),
                  image.begin() + static_cast<ptrdiff_t>(at + length), '\0');
        changed = true;
      }
      at += length + 1;
    }
  }
  if (changed) write_file(object, image, Flush::no);
}

}  // namespace kpatch
