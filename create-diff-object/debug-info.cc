// DWARF for the few functions of a unit that are in the livepatch
//
//     .debug_info of meminfo.o      DW_AT_low_pc  R_X86_64_64 .text.meminfo_proc_show    →  the copy
//                                   DW_AT_low_pc  R_X86_64_64 .text.meminfo_proc_init    →  nowhere
//
// The sections are taken whole, since types are shared by all that refer to them; only addresses are made anew. One that
// isn't there becomes the highest number, and in the two tables that give that one a meaning of its own the next lower
// one (lld: "tombstones"): zero would be the start of some section.
#include "create-diff-object/debug-info.h"

#include <elf.h>

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <string>

namespace kpatch {
namespace {

constexpr unsigned char section_info = STB_LOCAL << 4 | STT_SECTION;

class DebugInfo {
 public:
  DebugInfo(const Object& patched, const Selection& selection, const std::vector<OutputPlace>& places,
            OutputObject& output)
      : patched_(patched), selection_(selection), places_(places), output_(output) {}

  void add() {
    // An Object leaves debug sections alone.
    const ElfFile elf(patched_.image(), patched_.path());
    for (uint32_t i = 1; i < elf.sections().size(); ++i) {
      const ElfSection& section = elf.sections()[i];
      if ((section.header.sh_flags & SHF_ALLOC) != 0 || !section.name.starts_with(".debug_")) continue;
      copies_[i] = output_.add_section({.name = std::string{section.name},
                                        .type = section.header.sh_type,
                                        .flags = section.header.sh_flags & (SHF_MERGE | SHF_STRINGS | SHF_COMPRESSED),
                                        .entry_size = section.header.sh_entsize,
                                        .alignment = section.header.sh_addralign,
                                        .size = section.contents.size(),
                                        .contents = {section.contents.begin(), section.contents.end()}});
    }
    for (uint32_t i = 1; i < elf.sections().size(); ++i) {
      const GElf_Shdr& header = elf.sections()[i].header;
      const auto copy = header.sh_type == SHT_RELA ? copies_.find(header.sh_info) : copies_.end();
      if (copy == copies_.end()) continue;
      OutputSection& section = output_.sections[copy->second];
      const ElfFile::Relocations relocations = elf.relocations(i);
      for (size_t k = 0; k < relocations.size(); ++k) {
        const ElfRelocation r = relocations[k];
        if (r.symbol == 0) continue;
        if (const auto moved = target(r))
          section.relocations.push_back({r.offset, r.type, moved->symbol, moved->addend});
        else
          bury(section, r);
      }
    }
  }

 private:
  struct Moved {
    uint32_t symbol = 0;
    int64_t addend = 0;
  };

  uint32_t section_symbol(uint32_t section) {
    const auto [known, fresh] = symbols_.try_emplace(section, 0);
    if (fresh) known->second = output_.add_symbol({.section = section, .info = section_info});
    return known->second;
  }

  std::optional<Moved> target(const ElfRelocation& r) {
    const Symbol& s = patched_.symbol(SymbolId{r.symbol});
    if (s.section == no_section) return std::nullopt;
    const int64_t offset = static_cast<int64_t>(s.value) + r.addend;
    if (const auto copy = copies_.find(index(s.section)); copy != copies_.end())
      return Moved{section_symbol(copy->second), offset};
    if (offset < 0) return std::nullopt;
    const auto at = static_cast<uint64_t>(offset);
    const Chunk* chunk = selection_.chunk_at(s.section, at);
    if (chunk == nullptr && at > 0) chunk = selection_.chunk_at(s.section, at - 1);  // the end of a range
    if (chunk == nullptr) return std::nullopt;
    const OutputPlace& place = places_[static_cast<size_t>(chunk - selection_.chunks.data())];
    return Moved{section_symbol(place.section), static_cast<int64_t>(at - chunk->begin + place.offset)};
  }

  void bury(OutputSection& section, const ElfRelocation& r) const {
    constexpr uint64_t size = 8;
    if (r.type != patched_.arch().elf.absolute_64 || r.offset + size > section.contents.size()) return;
    const auto field = std::span{section.contents}.subspan(r.offset, size);
    std::fill(field.begin(), field.end(), std::byte{0xff});
    const bool highest_means_more = section.name == ".debug_ranges" || section.name == ".debug_loc";
    if (highest_means_more) (output_.big_endian ? field.back() : field.front()) = std::byte{0xfe};
  }

  const Object& patched_;
  const Selection& selection_;
  const std::vector<OutputPlace>& places_;
  OutputObject& output_;
  std::map<uint32_t, uint32_t> copies_;   // section of the object -> of the output
  std::map<uint32_t, uint32_t> symbols_;  // by section of the output
};

}  // namespace

void add_debug_info(const Object& patched, const Selection& selection, const std::vector<OutputPlace>& places,
                    OutputObject& output) {
  DebugInfo(patched, selection, places, output).add();
}

}  // namespace kpatch
