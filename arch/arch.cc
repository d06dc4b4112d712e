#include "arch/arch.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "support/error.h"

namespace kpatch {

const TableFacts* Arch::table(std::string_view section) const {
  for (const TableFacts& facts : tables)
    if (facts.section == section) return &facts;
  return nullptr;
}

std::vector<std::string_view> Arch::entry_structs() const {
  std::set<std::string_view> names;
  for (const TableFacts& facts : tables)
    if (!facts.struct_name.empty()) names.insert(facts.struct_name);
  return {names.begin(), names.end()};
}

bool FtraceFacts::lists_sites(std::string_view section) const {
  return std::find(tables.begin(), tables.end(), section) != tables.end();
}

bool Arch::in_each_module(std::string_view symbol) const {
  return std::any_of(kbuild.module_symbols.begin(), kbuild.module_symbols.end(),
                     [&](std::string_view prefix) { return symbol.starts_with(prefix); });
}

uint32_t last_of_twelve(uint64_t entry_size) { return entry_size == 12 ? 11 : 0; }

std::span<const Arch* const> architectures() {
  static constexpr auto all =
      std::to_array<const Arch*>({&arch_x86_64, &arch_arm64, &arch_ppc64le, &arch_s390x, &arch_loongarch64});
  return all;
}

const Arch* find_arch(uint16_t machine) {
  for (const Arch* arch : architectures())
    if (arch->elf.machine == machine) return arch;
  return nullptr;
}

std::string arch_name(uint16_t machine) {
  const Arch* arch = find_arch(machine);
  return arch != nullptr ? std::string(arch->elf.name) : fmt::format("ELF machine {}", machine);
}

std::string missing_parts(uint16_t machine) {
  const Arch* arch = find_arch(machine);
  if (arch == nullptr)
    return fmt::format("livepatches for {} can't be made yet: nothing is known of it", arch_name(machine));
  std::vector<std::string_view> missing;
  if (arch->klp.field_size == nullptr) missing.push_back("the sizes of relocated fields");
  if (arch->proof == nullptr) missing.push_back("the proof");
  if (arch->audit == nullptr) missing.push_back("the audit");
  if (missing.empty()) return {};
  return fmt::format("livepatches for {} can't be made yet: what is missing is {}", arch->elf.name,
                     fmt::join(missing, ", "));
}

uint16_t host_machine() {
  Elf64_Ehdr header = {};
  std::ifstream("/proc/self/exe", std::ios::binary).read(reinterpret_cast<char*>(&header), sizeof header);
  return header.e_machine;
}

int64_t sign_extend(uint64_t value, unsigned bits) {
  KPATCH_ASSERT(bits > 0 && bits <= 64);
  if (bits == 64) return static_cast<int64_t>(value);
  const uint64_t sign = uint64_t{1} << (bits - 1);
  value &= (sign << 1) - 1;
  return static_cast<int64_t>(value ^ sign) - static_cast<int64_t>(sign);
}

CodeRange word_at(std::span<const std::byte> code, uint64_t from, uint64_t at) {
  const uint64_t begin = at - (at - from) % 4;
  return {begin, std::min<uint64_t>(begin + 4, code.size())};
}

uint32_t little_endian_word(std::span<const std::byte> code, uint64_t at) {
  KPATCH_ASSERT(at + 4 <= code.size());
  uint32_t word = 0;
  for (uint64_t i = 4; i-- > 0;) word = word << 8 | std::to_integer<uint32_t>(code[at + i]);
  return word;
}

bool numbers_only_in_words(std::span<const std::byte> orig, std::span<const std::byte> patched,
                           const std::function<bool(const NumberChange&)>& is_line,
                           bool (*find_number)(uint32_t, uint32_t, NumberChange&)) {
  if (orig.size() != patched.size() || orig.size() % 4 != 0) return false;
  for (uint64_t at = 0; at < orig.size(); at += 4) {
    const uint32_t before = little_endian_word(orig, at), after = little_endian_word(patched, at);
    NumberChange change{.at = at, .next = at + 4};
    if (before != after && !(find_number(before, after, change) && is_line(change))) return false;
  }
  return true;
}

bool escapes_in_words(std::span<const std::byte> code, uint64_t begin, uint64_t end,
                      std::optional<int64_t> (*distance)(uint32_t)) {
  for (uint64_t at = begin; at + 4 <= end; at += 4) {
    const auto by = distance(little_endian_word(code, at));
    if (!by) continue;
    const int64_t to = static_cast<int64_t>(at) + *by;
    if (to < static_cast<int64_t>(begin) || to >= static_cast<int64_t>(end)) return true;
  }
  return false;
}

std::vector<uint64_t> from_entries(std::span<const uint64_t> offsets,
                                   const std::function<Landmark(size_t, uint64_t)>& landmark) {
  std::vector<uint64_t> distances(offsets.size());
  bool older = false;
  uint64_t entry = 0;
  for (size_t i = 0; i < offsets.size(); ++i) {
    const Landmark here = landmark(i, 0);
    if (here == Landmark::code) {
      entry = offsets[i];
      continue;
    }
    const uint64_t distance = offsets[i] - entry;
    const bool before = landmark(i, distance) == Landmark::string_start;
    if (here == Landmark::string_start && !before) return std::vector<uint64_t>(offsets.size());
    older = older || (here == Landmark::string_middle && before);
    if (before) distances[i] = distance;
  }
  return older ? distances : std::vector<uint64_t>(offsets.size());
}

}  // namespace kpatch
