// What only DWARF knows: which translation units a binary was made of, by which compiler, and struct sizes where there
// is no BTF.
//
// Units. Of each unit the first entry alone is read ("DW_TAG_compile_unit, DW_AT_name fs/proc/meminfo.c"), and the next
// unit is found by the header's length: 2,400 of them cost milliseconds, although .debug_info is 200 MB.
//
// Struct sizes. The top-level entries of unit after unit are walked, siblings only, until the struct is found with a
// size. Whether it can be found at all is asked of .debug_str first: a name that is not in it would otherwise cost a
// walk over everything (names shorter than four letters can stand elsewhere, and no kernel struct of interest is as
// short).
//
// In a module or object the references into .debug_str are relocations: libdwfl applies them to a copy in memory.
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <gelf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "elf/elf.h"
#include "lookup/binary-data.h"
#include "support/error.h"

namespace kpatch {

namespace {

// A libdw session over a file's bytes; dwarf() is nullptr where there is none.
class DwarfSession {
 public:
  explicit DwarfSession(const BinaryData& data) {
    if (!has_debug_info(data)) return;
    std::span<const std::byte> bytes = data.file.bytes();
    if (data.relocatable) {
      open_relocatable(data.path, bytes);
    } else {
      elf_ = open_elf(bytes);
      dwarf_ = elf_ == nullptr ? nullptr : dwarf_begin_elf(elf_.get(), DWARF_C_READ, nullptr);
    }
  }
  ~DwarfSession() {
    if (dwfl_ != nullptr) {
      dwfl_end(dwfl_);
    } else if (dwarf_ != nullptr) {
      dwarf_end(dwarf_);
    }
  }
  DwarfSession(const DwarfSession&) = delete;
  DwarfSession& operator=(const DwarfSession&) = delete;

  Dwarf* dwarf() const { return dwarf_; }

 private:
  static bool has_debug_info(const BinaryData& data) {
    return std::any_of(data.sections.begin(), data.sections.end(),
                       [](const BinarySection& section) { return section.name == ".debug_info"; });
  }

  // libdwfl wants a file it may relocate a private copy of: one in memory, the original may be compressed.
  void open_relocatable(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    static constexpr Dwfl_Callbacks callbacks = {
        [](Dwfl_Module*, void**, const char*, Dwarf_Addr, char**, Elf**) { return -1; },
        [](Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*, GElf_Word, char**) { return -1; },
        dwfl_offline_section_address, nullptr};
    int file = ::memfd_create("kpatch-module", MFD_CLOEXEC);
    if (file < 0) throw Error(fmt::format("'{}': no memory for its DWARF", path.string()));
    for (size_t done = 0; done < bytes.size();) {
      ssize_t written = ::write(file, bytes.data() + done, bytes.size() - done);
      if (written <= 0) {
        ::close(file);
        throw Error(fmt::format("'{}': no memory for its DWARF", path.string()));
      }
      done += written;
    }
    dwfl_ = dwfl_begin(&callbacks);
    Dwfl_Module* module =
        dwfl_ == nullptr ? nullptr : dwfl_report_offline(dwfl_, path.filename().c_str(), path.c_str(), file);
    if (module == nullptr) {
      ::close(file);
      return;
    }
    dwfl_report_end(dwfl_, nullptr, nullptr);
    Dwarf_Addr bias;
    dwarf_ = dwfl_module_getdwarf(module, &bias);
  }

  Dwfl* dwfl_ = nullptr;
  ElfHandle elf_;
  Dwarf* dwarf_ = nullptr;
};

// Calls use(unit entry) for each compile unit until it returns false.
template <typename Use>
void for_each_unit(Dwarf* dwarf, Use use) {
  Dwarf_CU* unit = nullptr;
  Dwarf_Half version;
  uint8_t type;
  Dwarf_Die die;
  while (dwarf_get_units(dwarf, unit, &unit, &version, &type, &die, nullptr) == 0) {
    if (dwarf_tag(&die) != DW_TAG_compile_unit) continue;
    if (!use(die)) return;
  }
}

std::string_view text_attribute(Dwarf_Die& die, unsigned attribute) {
  Dwarf_Attribute value;
  const char* text = dwarf_formstring(dwarf_attr(&die, attribute, &value));
  return text == nullptr ? std::string_view() : text;
}

bool is_c(Dwarf_Die& unit) {
  switch (dwarf_srclang(&unit)) {
    case DW_LANG_C:
    case DW_LANG_C89:
    case DW_LANG_C99:
    case DW_LANG_C11:
      return true;
    default:
      return false;
  }
}

bool may_name(const BinaryData& data, std::string_view name) {
  if (name.size() < 4) return true;
  std::string terminated(name);
  terminated.push_back('\0');
  for (const BinarySection& section : data.sections) {
    if (section.name != ".debug_str") continue;
    if ((section.flags & SHF_COMPRESSED) != 0) return true;
    return memmem(section.bytes.data(), section.bytes.size(), terminated.data(), terminated.size()) != nullptr;
  }
  return true;
}

}  // namespace

std::optional<uint64_t> dwarf_struct_size(const BinaryData& data, std::string_view name) {
  if (!may_name(data, name)) return std::nullopt;
  DwarfSession session(data);
  if (session.dwarf() == nullptr) return std::nullopt;
  std::optional<uint64_t> size;
  for_each_unit(session.dwarf(), [&](Dwarf_Die& unit) {
    Dwarf_Die entry;
    if (dwarf_child(&unit, &entry) != 0) return true;
    do {
      if (dwarf_tag(&entry) != DW_TAG_structure_type) continue;
      const char* found = dwarf_diename(&entry);
      if (found == nullptr || name != found) continue;
      if (int bytes = dwarf_bytesize(&entry); bytes >= 0) size = bytes;
    } while (!size && dwarf_siblingof(&entry, &entry) == 0);
    return !size;
  });
  return size;
}

UnitFacts dwarf_units(const BinaryData& data) {
  UnitFacts facts;
  if (!data.is_elf) return facts;
  DwarfSession session(data);
  if (session.dwarf() == nullptr) return facts;
  std::vector<std::pair<size_t, size_t>> places;
  for_each_unit(session.dwarf(), [&](Dwarf_Die& unit) {
    std::string_view name = text_attribute(unit, DW_AT_name);
    if (facts.producer.empty() && is_c(unit)) facts.producer = text_attribute(unit, DW_AT_producer);
    if (name.empty()) return true;
    places.emplace_back(facts.arena.size(), name.size());
    facts.arena += name;
    return true;
  });
  // The arena no longer grows; but a moved short string moves its characters, so it must not be a short one.
  facts.arena.reserve(64);
  for (auto [offset, size] : places) facts.names.emplace_back(facts.arena.data() + offset, size);
  std::sort(facts.names.begin(), facts.names.end());
  return facts;
}

}  // namespace kpatch
