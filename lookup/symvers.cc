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

#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "elf/elf.h"
#include "support/error.h"
#include "support/text.h"

namespace kpatch {

namespace {

bool read_crc(std::string_view word, uint32_t& crc) {
  if (!word.starts_with("0x") && !word.starts_with("0X")) return false;
  word.remove_prefix(2);
  auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), crc, 16);
  return problem == std::errc() && end == word.data() + word.size() && word.size() <= 8;
}

std::optional<Export> read_line(std::string_view line) {
  const std::vector<std::string_view> columns = fields_of(line, '\t');
  Export entry;
  if (columns.size() < 4 || columns.size() > 5 || !read_crc(columns[0], entry.crc)) return std::nullopt;
  entry.name = columns[1];
  entry.owner = columns[2];
  if (columns.size() == 5) entry.name_space = columns[4];
  // Kernels before 5.9 had three more types: _GPL_FUTURE, UNUSED_SYMBOL, UNUSED_SYMBOL_GPL.
  if (!columns[3].starts_with("EXPORT_") || entry.name.empty() || entry.owner.empty()) return std::nullopt;
  entry.gpl = columns[3].find("_GPL") != columns[3].npos;
  return entry;
}

// Calls visit with each line and what it says.
template <typename Visit>
void read_lines(const std::filesystem::path& path, Visit visit) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored) && std::filesystem::file_size(path, ignored) == 0) return;
  FileBytes file = FileBytes::read(path);
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  const std::vector<std::string_view> lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i + 1 == lines.size() && !text.ends_with('\n'))
      throw Error(fmt::format("'{}', line {}: the last line is cut off", path.string(), i + 1));
    if (lines[i].empty()) continue;
    std::optional<Export> entry = read_line(lines[i]);
    if (!entry)
      throw Error(fmt::format("'{}', line {}: not a line of Module.symvers (CRC, symbol, owner, type, namespace)",
                              path.string(), i + 1));
    visit(lines[i], std::move(*entry));
  }
  file.require_unchanged();
}

}  // namespace

Symvers Symvers::read(const std::filesystem::path& path) {
  Symvers result;
  read_lines(path, [&](std::string_view, Export entry) {
    std::string name = entry.name;
    result.exports_.try_emplace(std::move(name), std::move(entry));
  });
  return result;
}

std::string symvers_lines_of(const std::filesystem::path& path, std::string_view owner) {
  std::string result;
  read_lines(path, [&](std::string_view line, const Export& entry) {
    if (entry.owner == owner) (result += line) += '\n';
  });
  return result;
}

const Export* Symvers::find(std::string_view name) const {
  auto found = exports_.find(name);
  return found == exports_.end() ? nullptr : &found->second;
}

}  // namespace kpatch
