// Module.symvers is what a module is linked against: it decides whether a reference can be an ordinary one, and with
// which checksum. A line:
//
//   0x2a7e01c3<TAB>xt_register_match<TAB>net/netfilter/x_tables<TAB>EXPORT_SYMBOL<TAB>
//   0x8f9c2a11<TAB>dma_buf_get<TAB>vmlinux<TAB>EXPORT_SYMBOL_GPL<TAB>DMA_BUF
//
// with the namespace, the fifth, since 5.4. A file that was cut off would make exported symbols look like unexported
// ones in silence: so the last line must end as a line, and each must have its columns. (Where a cut falls exactly
// behind a line nothing can tell, without knowing the file's size.)
#include "lookup/symvers.h"

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "elf/elf.h"
#include "support/error.h"

namespace kpatch {

namespace {

struct Columns {
  std::array<std::string_view, 5> text;
  size_t count = 0;
};

// count is 6 for a line of more than five columns.
Columns split(std::string_view line) {
  Columns columns;
  for (;;) {
    size_t tab = line.find('\t');
    if (columns.count < columns.text.size()) columns.text[columns.count] = line.substr(0, tab);
    ++columns.count;
    if (tab == line.npos || columns.count > columns.text.size()) return columns;
    line.remove_prefix(tab + 1);
  }
}

bool read_crc(std::string_view word, uint32_t& crc) {
  if (!word.starts_with("0x") && !word.starts_with("0X")) return false;
  word.remove_prefix(2);
  auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), crc, 16);
  return problem == std::errc() && end == word.data() + word.size() && word.size() <= 8;
}

std::optional<Export> read_line(std::string_view line) {
  Columns columns = split(line);
  Export entry;
  if (columns.count < 4 || columns.count > 5 || !read_crc(columns.text[0], entry.crc)) return std::nullopt;
  entry.name = columns.text[1];
  entry.owner = columns.text[2];
  entry.name_space = columns.text[4];
  // Kernels before 5.9 had three more types: _GPL_FUTURE, UNUSED_SYMBOL, UNUSED_SYMBOL_GPL.
  if (!columns.text[3].starts_with("EXPORT_") || entry.name.empty() || entry.owner.empty()) return std::nullopt;
  entry.gpl = columns.text[3].find("_GPL") != columns.text[3].npos;
  return entry;
}

}  // namespace

Symvers Symvers::read(const std::filesystem::path& path) {
  Symvers result;
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored) && std::filesystem::file_size(path, ignored) == 0) return result;
  FileBytes file = FileBytes::read(path);
  std::string_view rest(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  for (size_t number = 1; !rest.empty(); ++number) {
    size_t end = rest.find('\n');
    if (end == rest.npos) throw Error(fmt::format("'{}', line {}: the last line is cut off", path.string(), number));
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    if (line.empty()) continue;
    std::optional<Export> entry = read_line(line);
    if (!entry)
      throw Error(fmt::format("'{}', line {}: not a line of Module.symvers (CRC, symbol, owner, type, namespace)",
                              path.string(), number));
    std::string name = entry->name;
    result.exports_.try_emplace(std::move(name), std::move(*entry));
  }
  return result;
}

const Export* Symvers::find(std::string_view name) const {
  auto found = exports_.find(name);
  return found == exports_.end() ? nullptr : &found->second;
}

}  // namespace kpatch
