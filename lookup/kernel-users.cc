// An image is linked: calls hold distances, data addresses. Each four bytes of code are taken for a distance and for an
// address, whatever instruction they belong to, and each four and eight bytes of data for the same. Of 20 million places one in 200
// images hits one address by chance.
#include "lookup/kernel-users.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "arch/arch.h"
#include "elf/elf.h"

namespace kpatch {
namespace {

class Users {
 public:
  explicit Users(std::map<uint64_t, std::set<std::string>> unused) : unused_(std::move(unused)) {
    first_ = unused_.begin()->first;
    last_ = unused_.rbegin()->first;
  }

  // Addresses [begin, end) tell of places only.
  void leave_out(uint64_t begin, uint64_t end) {
    left_begin_ = begin;
    left_end_ = end;
  }

  void read(const ElfSection& section) {
    const bool code = (section.header.sh_flags & SHF_EXECINSTR) != 0;
    const size_t step = code ? 1 : 4;
    const std::span<const std::byte> bytes = section.contents;
    for (size_t at = 0; at + 4 <= bytes.size(); at += step) {
      int32_t word = 0;
      std::memcpy(&word, bytes.data() + at, 4);
      const uint64_t place = section.header.sh_addr + at;
      if (place >= left_begin_ && place < left_end_) continue;
      seen(place + (code ? 4 : 0) + static_cast<uint64_t>(static_cast<int64_t>(word)));
      seen(static_cast<uint64_t>(static_cast<int64_t>(word)));
      if (code || at + 8 > bytes.size()) continue;
      uint64_t address = 0;
      std::memcpy(&address, bytes.data() + at, 8);
      seen(address);
    }
  }

  std::set<std::string> unused() const {
    std::set<std::string> names;
    for (const auto& [address, its_names] : unused_) names.insert(its_names.begin(), its_names.end());
    return names;
  }

 private:
  void seen(uint64_t address) {
    if (address >= first_ && address <= last_) unused_.erase(address);
  }

  std::map<uint64_t, std::set<std::string>> unused_;  // names, by address
  uint64_t first_ = 0, last_ = 0;
  uint64_t left_begin_ = 0, left_end_ = 0;
};

}  // namespace

std::set<std::string> functions_nobody_uses(const std::filesystem::path& vmlinux, std::string_view prefix) {
  const FileBytes file = FileBytes::read(vmlinux);
  const ElfFile elf(file.bytes(), vmlinux.string());
  const Arch* arch = find_arch(elf.header().e_machine);
  if (arch == nullptr || !arch->code.whole_distances || elf.header().e_type == ET_REL) return {};
  std::map<uint64_t, std::set<std::string>> functions;
  std::set<uint64_t> addresses;
  uint64_t names = 0;  // the table of all symbols, which may hold distances to them
  for (size_t i = 1; i < elf.symbol_count(); ++i) {
    const ElfSymbol s = elf.symbol(i);
    const GElf_Sym& entry = s.entry;
    if (s.section != SHN_UNDEF && !s.reserved) addresses.insert(entry.st_value);
    if (s.name == "kallsyms_offsets") names = entry.st_value;
    if (GELF_ST_TYPE(entry.st_info) == STT_FUNC && GELF_ST_BIND(entry.st_info) == STB_GLOBAL &&
        s.name.starts_with(prefix))
      functions[entry.st_value].emplace(s.name);
  }
  if (functions.empty()) return {};
  Users users(std::move(functions));
  const auto behind_names = addresses.upper_bound(names);
  if (names != 0 && behind_names != addresses.end()) users.leave_out(names, *behind_names);
  for (const ElfSection& section : elf.sections()) {
    const bool loaded = (section.header.sh_flags & SHF_ALLOC) != 0 && section.header.sh_type == SHT_PROGBITS;
    if (loaded && !section_row(section.name).positions && !section.name.starts_with("__ksymtab")) users.read(section);
  }
  return users.unused();
}

}  // namespace kpatch
