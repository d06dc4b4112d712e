// A patch is built from source, but it changes a binary that somebody else compiled. If source, configuration or
// compiler are not those of the binary, the patch can be wrong in silence: a struct has another layout, a function was
// inlined elsewhere, a fix is lost that the distribution had applied. So the original source is compiled with the
// kernel's own flags, and each function that will be replaced must be, byte for byte, the one in the shipped file:
//
//   object, before linking                        shipped vmlinux
//   meminfo_proc_show:                            ffffffff81509c10 <meminfo_proc_show>:
//     f3 0f 1e fa     endbr64                       f3 0f 1e fa
//     e8 00 00 00 00  call __fentry__               e8 a7 53 d5 ff       target: the address of __fentry__
//     48 c7 c6 ..     mov $.rodata.str1.1+0x26,%rsi 48 c7 c6 1b 74 62 82 target: an equal string
//     48 8b 3d ..     mov .data+0x40(%rip),%rdi     48 8b 3d ..          target: where .data of this file lies, +0x40
//     eb 12           jmp (a static branch)         66 90                objtool made it a NOP
//
// Bytes that no relocation covers must be equal. A relocated field is taken apart into what it refers to:
//
//   - a global or undefined symbol: an address of a symbol of that name; in a module the same name and addend.
//   - a string or a constant of a mergeable section: the linker puts each where it likes, so the contents are compared.
//   - anything else of the object itself, which the assembler wrote as section + offset: linkers move a file's section
//   as
//     a whole, so there is one distance between all places of it and their shipped places. The symbols tell which:
//     each symbol of the section votes for the distances that its namesakes in the shipped file stand for, of the same
//     FILE group where there is one, and the most common wins. A section without symbols gets its distance by the first
//     reference to it, and then its contents are compared.
//
// What may differ is what the kernel's build is known to rewrite: objtool turns the `jmp` of a static branch into a NOP
// of equal length when bit 1 of the key's addend in __jump_table asks for it (--hacks=jump_label), and a call of
// __fentry__
// (--mnop) or, in noinstr code, of a sanitizer's hook (--hacks=noinstr) into a 5-byte NOP. Alternatives, retpolines,
// returns and static calls are rewritten at boot, in memory: in the file they are as compiled.
//
// Why it is right: a function that passes has the same instructions with the same meanings of all their operands. A
// false alarm is possible (it stops the build and says why), a false proof needs another function of the same name,
// bytes and references.
#include "klp/proof.h"

#include <elf.h>

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "arch/arch.h"
#include "support/bytes.h"
#include "support/error.h"

namespace kpatch {

namespace {

// In a relocatable file section and offset, in vmlinux 0 and an address. Also a distance: wraps around.
struct ShippedAddress {
  uint32_t section;
  uint64_t offset;
  auto operator<=>(const ShippedAddress&) const = default;
};

struct Mismatch {
  uint64_t offset = 0;  // in the function
  std::string what;     // empty: the instructions themselves differ
};

constexpr uint32_t none_type = 0;  // R_…_NONE of each architecture

std::string_view compiler_of(const Binary& object) {
  for (const BinarySection& section : object.sections()) {
    if (section.name != ".comment") continue;
    std::string_view text(reinterpret_cast<const char*>(section.bytes.data()), section.bytes.size());
    size_t start = text.find_first_not_of('\0');
    if (start == text.npos) continue;
    text.remove_prefix(start);
    return text.substr(0, text.find('\0'));
  }
  return {};
}

Finding unproven(const std::string& function, std::string message, std::string advice = {}) {
  return {"proof", Severity::error, {.function = function}, std::move(message), std::move(advice)};
}

class Prover {
 public:
  Prover(const Arch& arch, const Binary& plain, const Binary& shipped, std::string_view file_name)
      : code_(arch.code),
        facts_(*arch.proof),
        traced_calls_(arch.ftrace.calls),
        big_endian_(arch.elf.big_endian),
        plain_(plain),
        shipped_(shipped),
        file_name_(file_name),
        distances_(plain.sections().size()),
        plain_relocations_(plain.sections().size()),
        jump_sites_(plain.sections().size()) {
    for (const FileGroup& group : shipped_.files()) has_group_ |= group.name == file_name_;
    vote();
    find_jump_sites();
  }

  std::vector<Finding> run(std::span<const std::string> functions) {
    std::vector<Finding> findings;
    for (const std::string& function : functions) {
      std::span<const uint32_t> own = plain_.named(function);
      if (own.empty()) findings.push_back(unproven(function, "the original object has no such function"));
      for (uint32_t symbol : own) report(symbol, function, findings);
      for (uint32_t i = 0; i < plain_.symbols().size(); ++i)
        if (is_part_of(plain_.symbols()[i], function)) report(i, function, findings);
    }
    return findings;
  }

 private:
  static bool is_part_of(const BinarySymbol& symbol, std::string_view function) {
    if (symbol.type != SymbolType::function || !symbol.defined() || !symbol.name.starts_with(function)) return false;
    std::string_view rest = symbol.name.substr(function.size());
    return rest.starts_with(".cold") || rest.starts_with(".part.");
  }

  // ---- where the sections of the object lie in the shipped file

  ShippedAddress place_of(const BinarySymbol& shipped) const {
    return {shipped_.relocatable() ? shipped.section : 0, shipped.value};
  }

  // The symbols of the shipped file that this one of the object can be.
  std::vector<uint32_t> candidates(const BinarySymbol& symbol) const {
    std::vector<uint32_t> found;
    bool local = symbol.binding == SymbolBinding::local;
    for (uint32_t index : shipped_.named(symbol.name)) {
      const BinarySymbol& other = shipped_.symbols()[index];
      if (!local || !has_group_) {
        // The linker may have made a hidden global local, never a local one global.
        if (!local || other.binding == SymbolBinding::local) found.push_back(index);
      } else if (other.file != BinarySymbol::no_file && shipped_.files()[other.file].name == file_name_) {
        found.push_back(index);
      }
    }
    return found;
  }

  void vote() {
    std::vector<std::vector<ShippedAddress>> votes(distances_.size());
    for (const BinarySymbol& symbol : plain_.symbols()) {
      if (symbol.section == 0 || symbol.section >= votes.size() || symbol.name.empty()) continue;
      if (symbol.type == SymbolType::section || symbol.type == SymbolType::file) continue;
      if (symbol.binding == SymbolBinding::weak || symbol.name.starts_with(".L")) continue;
      // One vote for each distance: empty lock class keys ("__key.0") of many files share an address.
      std::vector<ShippedAddress> distances;
      for (uint32_t index : candidates(symbol)) {
        ShippedAddress place = place_of(shipped_.symbols()[index]);
        distances.push_back({place.section, place.offset - symbol.value});
      }
      std::sort(distances.begin(), distances.end());
      auto last = std::unique(distances.begin(), distances.end());
      votes[symbol.section].insert(votes[symbol.section].end(), distances.begin(), last);
    }
    for (size_t section = 0; section < votes.size(); ++section) {
      std::vector<ShippedAddress>& ballot = votes[section];
      std::sort(ballot.begin(), ballot.end());
      size_t most = 0;
      for (size_t first = 0, last = 0; first < ballot.size(); first = last) {
        while (last < ballot.size() && ballot[last] == ballot[first]) ++last;
        if (last - first > most) distances_[section].clear();
        most = std::max(most, last - first);
        if (last - first == most) distances_[section].push_back(ballot[first]);
      }
    }
  }

  // Entries of __jump_table: s32 code, s32 target, s64 key, all relative to themselves.
  void find_jump_sites() {
    constexpr uint64_t entry_size = 16;
    constexpr uint64_t key_offset = 8;
    for (uint32_t section = 0; section < plain_.sections().size(); ++section) {
      if (plain_.sections()[section].name != "__jump_table") continue;
      std::optional<ShippedAddress> code;
      for (const BinaryRelocation& relocation : plain_.relocations(section)) {
        const BinarySymbol& target = plain_.symbols()[relocation.symbol];
        uint64_t value = target.value + relocation.addend;
        if (relocation.offset % entry_size == 0) code = ShippedAddress{target.section, value};
        // Keys are aligned: the low bits are flags, bit 1 asks objtool for the NOP.
        if (relocation.offset % entry_size == key_offset && (value & 2) != 0 && code &&
            code->section < jump_sites_.size())
          jump_sites_[code->section].push_back(code->offset);
      }
    }
    for (std::vector<uint64_t>& sites : jump_sites_) std::sort(sites.begin(), sites.end());
  }

  // ---- one function

  void report(uint32_t symbol, const std::string& function, std::vector<Finding>& findings) {
    const BinarySymbol& code = plain_.symbols()[symbol];
    if (code.type != SymbolType::function) return;
    std::optional<std::string> problem = check(code);
    if (!problem) return;
    // kernel/fork.c has `void __weak arch_release_task_struct(…) {}`, arch/x86/kernel/process.c the one that runs.
    if (code.binding == SymbolBinding::weak && overridden(code)) {
      findings.push_back({"weak",
                          Severity::refusal,
                          {.function = function},
                          "is weak here, and the kernel that runs has another definition of it",
                          "patch that one"});
      return;
    }
    std::string part = code.name == function ? "" : fmt::format("its part {} ", code.name);
    findings.push_back(unproven(function, fmt::format("{}{}", part, *problem), "likely cause: " + cause()));
  }

  bool overridden(const BinarySymbol& code) const {
    std::span<const uint32_t> found = shipped_.named(code.name);
    return std::any_of(found.begin(), found.end(),
                       [&](uint32_t index) { return shipped_.symbols()[index].binding == SymbolBinding::global; });
  }

  std::optional<std::string> check(const BinarySymbol& code) {
    std::optional<Mismatch> best;
    const BinarySymbol* best_shipped = nullptr;
    for (uint32_t index : candidates(code)) {
      const BinarySymbol& shipped = shipped_.symbols()[index];
      if (shipped.type != SymbolType::function) continue;
      std::optional<Mismatch> mismatch = compare(code, shipped);
      if (!mismatch) return std::nullopt;
      if (best && best->offset >= mismatch->offset) continue;
      best = mismatch;
      best_shipped = &shipped;
    }
    if (!best) {
      if (shipped_.named(code.name).empty()) return "is not in the shipped file";
      return fmt::format("is in the shipped file, but not as a function of {}", file_name_);
    }
    return describe(code, *best_shipped, *best);
  }

  std::string describe(const BinarySymbol& code, const BinarySymbol& shipped, const Mismatch& mismatch) const {
    std::span<const std::byte> ours = plain_.contents(code);
    std::span<const std::byte> theirs = shipped_.contents(shipped);
    std::string sizes;
    if (code.size != shipped.size)
      sizes = fmt::format("has {} bytes as compiled and {} as shipped, and ", code.size, shipped.size);
    size_t at = code_.instruction_at(ours, 0, mismatch.offset).begin;
    if (at >= ours.size() || at >= theirs.size()) return sizes + fmt::format("ends early at +{:#x}", at);
    std::string text =
        fmt::format("{}differs at +{:#x}: compiled {}, shipped {}", sizes, at, text_of(ours, at), text_of(theirs, at));
    return mismatch.what.empty() ? text : text + ", " + mismatch.what;
  }

  std::string text_of(std::span<const std::byte> code, size_t at) const {
    const auto instruction = facts_.disassemble(code, at);
    const size_t length = instruction ? instruction->length : std::min<size_t>(code.size() - at, 8);
    std::string bytes;
    for (size_t i = 0; i < length; ++i)
      bytes += fmt::format("{}{:02x}", i == 0 ? "" : " ", static_cast<uint8_t>(code[at + i]));
    return fmt::format("'{}' ({})", instruction ? instruction->text : "no instruction", bytes);
  }

  const std::vector<BinaryRelocation>& plain_relocations(uint32_t section) {
    if (!plain_relocations_[section]) plain_relocations_[section] = plain_.relocations(section);
    return *plain_relocations_[section];
  }

  static std::span<const BinaryRelocation> in_range(const std::vector<BinaryRelocation>& all, uint64_t start,
                                                    uint64_t size) {
    auto before = [](const BinaryRelocation& relocation, uint64_t offset) { return relocation.offset < offset; };
    auto first = std::lower_bound(all.begin(), all.end(), start, before);
    auto last = std::lower_bound(first, all.end(), start + size, before);
    return {first, last};
  }

  // Marks what the build may rewrite and did: those bytes need no comparison.
  std::vector<bool> rewritten(const BinarySymbol& code, std::span<const std::byte> ours,
                              std::span<const std::byte> theirs, std::span<const BinaryRelocation> relocations) const {
    std::vector<bool> result(ours.size());
    auto accept = [&](size_t at, size_t length) { std::fill_n(result.begin() + at, length, true); };
    const std::vector<uint64_t>& sites = jump_sites_[code.section];
    for (auto site = std::lower_bound(sites.begin(), sites.end(), code.value);
         site != sites.end() && *site < code.value + ours.size(); ++site) {
      uint64_t at = *site - code.value;
      accept(at, facts_.branch_made_nop(ours, theirs, at));
    }
    for (const BinaryRelocation& relocation : relocations) {
      std::string_view callee = plain_.symbols()[relocation.symbol].name;
      const bool traced = std::find(traced_calls_.begin(), traced_calls_.end(), callee) != traced_calls_.end();
      if (!traced && !callee.starts_with("__sanitizer_cov_")) continue;
      const CodeRange call = facts_.call_made_nop(ours, theirs, relocation.offset - code.value);
      accept(call.begin, call.end - call.begin);
    }
    return result;
  }

  std::optional<Mismatch> compare(const BinarySymbol& code, const BinarySymbol& shipped) {
    std::span<const std::byte> ours = plain_.contents(code);
    std::span<const std::byte> theirs = shipped_.contents(shipped);
    if (ours.size() != code.size || theirs.size() != shipped.size) return Mismatch{0, "its code is not in the file"};
    size_t size = std::min(ours.size(), theirs.size());
    std::span<const BinaryRelocation> relocations = in_range(plain_relocations(code.section), code.value, size);
    std::vector<bool> skip = rewritten(code, ours, theirs, relocations);
    std::optional<Mismatch> found = compare_fields(code, shipped, relocations, skip);
    for (size_t at = 0; at < (found ? found->offset : size); ++at)
      if (!skip[at] && ours[at] != theirs[at]) return Mismatch{at, {}};
    if (!found && ours.size() != theirs.size()) return Mismatch{size, {}};
    return found;
  }

  // Compares the relocated fields and adds them to `skip`.
  std::optional<Mismatch> compare_fields(const BinarySymbol& code, const BinarySymbol& shipped,
                                         std::span<const BinaryRelocation> relocations, std::vector<bool>& skip) {
    std::vector<BinaryRelocation> theirs = shipped_relocations(shipped, skip);
    const Pages pages = shipped_.relocatable() ? Pages{} : pages_of(code, shipped, relocations);
    size_t next = 0;
    for (const BinaryRelocation& relocation : relocations) {
      uint64_t at = relocation.offset - code.value;
      std::optional<RelocatedField> kind = facts_.field(relocation.type);
      if (skip[at]) continue;
      if (!kind) return Mismatch{at, fmt::format("relocation type {} is not known", relocation.type)};
      if (at + kind->width > skip.size()) return Mismatch{at, "a relocation reaches beyond the function"};
      std::optional<std::string> problem;
      if (shipped_.relocatable()) {
        if (next < theirs.size() && theirs[next].offset < shipped.value + at)
          return Mismatch{theirs[next].offset - shipped.value, "relocated as shipped only"};
        if (next == theirs.size() || theirs[next].offset != shipped.value + at)
          return Mismatch{at, "relocated as compiled only"};
        problem = compare_relocation(relocation, theirs[next++], *kind);
      } else {
        problem = compare_address(relocation, field_value(shipped, at, *kind, relocation.type), *kind, pages);
      }
      if (problem) return Mismatch{at, *problem};
      if (kind->instruction_bits != 0 && other_bits_differ(code, shipped, at, *kind)) return Mismatch{at, {}};
      std::fill_n(skip.begin() + at, kind->width, true);
    }
    if (next < theirs.size()) return Mismatch{theirs[next].offset - shipped.value, "relocated as shipped only"};
    return std::nullopt;
  }

  std::vector<BinaryRelocation> shipped_relocations(const BinarySymbol& shipped, const std::vector<bool>& skip) {
    std::vector<BinaryRelocation> result;
    if (!shipped_.relocatable()) return result;
    auto [entry, added] = shipped_relocations_.try_emplace(shipped.section);
    if (added) entry->second = shipped_.relocations(shipped.section);
    for (const BinaryRelocation& relocation : in_range(entry->second, shipped.value, shipped.size)) {
      uint64_t at = relocation.offset - shipped.value;
      if (relocation.type != none_type && !(at < skip.size() && skip[at])) result.push_back(relocation);
    }
    return result;
  }

  static uint32_t word_at(std::span<const std::byte> code, uint64_t at) { return little_endian_word(code, at); }

  // Whether the instructions differ beside the field that is relocated.
  bool other_bits_differ(const BinarySymbol& code, const BinarySymbol& shipped, uint64_t at,
                         const RelocatedField& kind) const {
    const uint32_t ours = word_at(plain_.contents(code), at), theirs = word_at(shipped_.contents(shipped), at);
    return ((ours ^ theirs) & ~kind.instruction_bits) != 0;
  }

  // The value of "symbol + addend" that the linker wrote, as far as the field tells it (RelocatedField::known_bits).
  uint64_t field_value(const BinarySymbol& shipped, uint64_t at, const RelocatedField& kind, uint32_t type) const {
    if (kind.instruction_bits != 0)
      return facts_.operand_of(type, word_at(shipped_.contents(shipped), at), shipped.value + at);
    const std::byte* field = shipped_.contents(shipped).data() + at;
    uint64_t value = 0;
    for (unsigned i = 0; i < kind.width; ++i)
      value = value << 8 | static_cast<uint8_t>(field[big_endian_ ? i : kind.width - 1 - i]);
    if (kind.width == 4) value = static_cast<int64_t>(static_cast<int32_t>(value));
    return kind.relative ? shipped.value + at + value : value;
  }

  // An address in two instructions is one by its page and one by its place in the page,
  //
  //   adrp x0, .LC7              page
  //   add  x0, x0, :lo12:.LC7    place in it
  //   ldr  x1, [x2, :lo12:.LANCHOR0 + 8]    page: that of .LANCHOR0
  //
  // and only both together tell what of the object itself is meant. Per symbol (and addend, where it has a page of its
  // own) the page, per symbol and addend the place.
  struct Pages {
    std::map<std::pair<uint32_t, int64_t>, uint64_t> pages{}, places{};
    std::map<uint32_t, uint64_t> any_page{};
  };

  static bool tells_page(const RelocatedField& kind) {
    return kind.known_bits != UINT64_MAX && (kind.known_bits & 1U << 12) != 0;
  }
  static bool tells_place(const RelocatedField& kind) {
    return kind.known_bits != UINT64_MAX && (kind.known_bits & 1U << 12) == 0;
  }

  Pages pages_of(const BinarySymbol& code, const BinarySymbol& shipped,
                 std::span<const BinaryRelocation> relocations) const {
    Pages result;
    for (const BinaryRelocation& relocation : relocations) {
      const std::optional<RelocatedField> kind = facts_.field(relocation.type);
      const uint64_t at = relocation.offset - code.value;
      if (!kind || kind->known_bits == UINT64_MAX || at + kind->width > shipped_.contents(shipped).size()) continue;
      const uint64_t value = field_value(shipped, at, *kind, relocation.type);
      const std::pair<uint32_t, int64_t> key{relocation.symbol, relocation.addend};
      if (tells_page(*kind)) {
        result.pages.try_emplace(key, value);
        result.any_page.try_emplace(relocation.symbol, value);
      } else {
        result.places.try_emplace(key, value);
      }
    }
    return result;
  }

  // The whole address of a reference to the object itself, where the other half of it is in the function.
  static std::optional<uint64_t> whole_address(const BinaryRelocation& relocation, uint64_t value,
                                               const RelocatedField& kind, const Pages& pages) {
    const std::pair<uint32_t, int64_t> key{relocation.symbol, relocation.addend};
    if (tells_page(kind)) {
      if (const auto place = pages.places.find(key); place != pages.places.end()) return value | place->second;
      return std::nullopt;
    }
    if (const auto page = pages.pages.find(key); page != pages.pages.end()) return page->second | value;
    if (const auto page = pages.any_page.find(relocation.symbol); page != pages.any_page.end())
      return page->second | value;
    return std::nullopt;
  }

  // ---- one reference

  static bool by_name(const BinarySymbol& symbol) {
    return symbol.type != SymbolType::section && (!symbol.defined() || symbol.binding != SymbolBinding::local);
  }

  std::optional<std::string> compare_address(const BinaryRelocation& relocation, uint64_t value,
                                             const RelocatedField& kind, const Pages& pages) {
    const BinarySymbol& symbol = plain_.symbols()[relocation.symbol];
    const uint64_t mask =
        kind.instruction_bits == 0 && kind.width == 4 ? uint64_t{UINT32_MAX} : uint64_t{kind.known_bits};
    if (by_name(symbol)) {
      const auto is_it = [&](uint64_t address) { return ((address + relocation.addend) & mask) == (value & mask); };
      for (uint32_t index : shipped_.named(symbol.name))
        if (is_it(shipped_.symbols()[index].value)) return std::nullopt;
      // Absolute ones are no symbols for kallsyms, and rare.
      for (const BinarySymbol& other : shipped_.symbols())
        if (other.section == reserved_section(SHN_ABS) && other.name == symbol.name && is_it(other.value))
          return std::nullopt;
      if (symbol.binding == SymbolBinding::weak && !symbol.defined() && is_it(0)) return std::nullopt;
      return fmt::format("which refer to {} and {}", symbol.name, name_at({0, value - relocation.addend}));
    }
    if (kind.known_bits == UINT64_MAX) return compare_own(symbol, relocation, {0, value}, kind);
    const auto whole = whole_address(relocation, value, kind, pages);
    if (whole) return compare_own(symbol, relocation, {0, *whole}, kind);
    return compare_part(symbol, relocation, value, kind);
  }

  // A half of an address whose other half isn't in the function: what is known of where the object's sections lie has to
  // give it. Constants that are merged may lie anywhere.
  std::optional<std::string> compare_part(const BinarySymbol& symbol, const BinaryRelocation& relocation,
                                          uint64_t value, const RelocatedField& kind) {
    if (symbol.section >= distances_.size()) return fmt::format("refers to '{}'", symbol.name);
    const uint64_t offset = symbol.value + relocation.addend;
    for (const ShippedAddress& distance : distances_[symbol.section])
      if (((distance.offset + offset) & kind.known_bits) == value) return std::nullopt;
    return fmt::format("which refer to {}+{:#x} and to half an address, {:#x}", plain_.sections()[symbol.section].name,
                       offset, value);
  }

  std::optional<std::string> compare_relocation(const BinaryRelocation& ours, const BinaryRelocation& theirs,
                                                RelocatedField kind) {
    const auto their_kind = facts_.field(theirs.type);
    if (!their_kind || kind.type != their_kind->type)
      return fmt::format("relocation types {} and {}", ours.type, theirs.type);
    const BinarySymbol& symbol = plain_.symbols()[ours.symbol];
    const BinarySymbol& other = shipped_.symbols()[theirs.symbol];
    if (by_name(symbol)) {
      if (symbol.name == other.name && ours.addend == theirs.addend) return std::nullopt;
      std::string_view name = other.name.empty() ? shipped_.section_name(other.section) : other.name;
      return fmt::format("which refer to {}{:+#x} and {}{:+#x}", symbol.name, ours.addend, name, theirs.addend);
    }
    if (!other.defined()) return fmt::format("which refer to a symbol of this file and to {}", other.name);
    return compare_own(symbol, ours, {other.section, other.value + theirs.addend}, kind);
  }

  // A reference to a place in the object itself; `place` is where it leads in the shipped file. Relative ones count
  // from the end of the instruction, mostly 4 bytes behind the field: contents are 4 further than the addend says.
  std::optional<std::string> compare_own(const BinarySymbol& symbol, const BinaryRelocation& relocation,
                                         ShippedAddress place, RelocatedField kind) {
    if (symbol.section >= distances_.size()) return fmt::format("refers to '{}'", symbol.name);
    const BinarySection& section = plain_.sections()[symbol.section];
    uint64_t offset = symbol.value + relocation.addend;
    uint64_t bias = kind.to_end;
    if ((section.flags & SHF_MERGE) != 0) {
      // Section symbols are used for the start of a constant alone. With an addend of its own the assembler keeps the
      // label (".LC5+8"), as the place meant may be behind the constant: the end of a string that a loop walks over.
      uint64_t addend = relocation.addend;
      if (symbol.type != SymbolType::section)
        return compare_merged(section, symbol.value, {place.section, place.offset - addend});
      return compare_merged(section, offset + bias, {place.section, place.offset + bias});
    }
    std::vector<ShippedAddress>& known = distances_[symbol.section];
    ShippedAddress distance{place.section, place.offset - offset};
    if (std::find(known.begin(), known.end(), distance) != known.end()) return std::nullopt;
    if (known.empty() && same_contents(symbol.section, distance)) {
      known.push_back(distance);
      return std::nullopt;
    }
    return fmt::format("which refer to {}+{:#x} and {}", section.name, offset + bias,
                       name_at({place.section, place.offset + bias}));
  }

  std::optional<std::string> compare_merged(const BinarySection& section, uint64_t offset, ShippedAddress place) const {
    if (offset >= section.bytes.size()) return "a reference beyond the constants";
    std::span<const std::byte> ours = section.bytes.subspan(offset);
    const bool strings = (section.flags & SHF_STRINGS) != 0 && section.entry_size != 0;
    size_t size =
        strings ? string_length(ours, 0, section.entry_size) + section.entry_size
                : section.entry_size - std::min(section.entry_size, offset % std::max<uint64_t>(section.entry_size, 1));
    ours = ours.first(std::min(size, ours.size()));
    std::span<const std::byte> theirs = bytes_at(place, ours.size());
    if (std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end())) return std::nullopt;
    if (!strings) return "which refer to different constants";
    return fmt::format("which refer to {} and {}", quoted(ours), quoted(bytes_at(place, 40)));
  }

  static std::string quoted(std::span<const std::byte> bytes) {
    std::string text = "\"";
    for (size_t i = 0; i < bytes.size(); ++i) {
      const auto letter = static_cast<char>(bytes[i]);
      if (letter == '\0' && i % 2 != 0 && bytes[i - 1] != std::byte{0}) continue;  // of a wide character
      if (letter == '\0' || text.size() > 60) break;
      text += letter >= ' ' && letter <= '~' ? letter : '?';
    }
    return text + "\"";
  }

  // Of a section without symbols: are the bytes at that distance its own? Relocated ones may be any.
  bool same_contents(uint32_t index, ShippedAddress distance) {
    const BinarySection& section = plain_.sections()[index];
    if (section.bytes.empty()) return section_at(distance) != nullptr;
    std::span<const std::byte> theirs = bytes_at(distance, section.bytes.size());
    if (theirs.size() != section.bytes.size()) return false;
    std::vector<bool> relocated(section.bytes.size());
    for (const BinaryRelocation& relocation : plain_relocations(index)) {
      std::optional<RelocatedField> kind = facts_.field(relocation.type);
      for (uint64_t at = relocation.offset; at < relocation.offset + (kind ? kind->width : 8); ++at)
        if (at < relocated.size()) relocated[at] = true;
    }
    for (size_t at = 0; at < theirs.size(); ++at)
      if (!relocated[at] && theirs[at] != section.bytes[at]) return false;
    return true;
  }

  // ---- the shipped file's bytes

  const BinarySection* section_at(ShippedAddress place) const {
    std::span<const BinarySection> sections = shipped_.sections();
    if (shipped_.relocatable()) return place.section < sections.size() ? &sections[place.section] : nullptr;
    for (const BinarySection& section : sections)
      if ((section.flags & SHF_ALLOC) != 0 && place.offset - section.address < section.size) return &section;
    return nullptr;
  }

  // At most `size` bytes, fewer where the section ends.
  std::span<const std::byte> bytes_at(ShippedAddress place, size_t size) const {
    const BinarySection* section = section_at(place);
    if (section == nullptr) return {};
    uint64_t offset = place.offset - (shipped_.relocatable() ? 0 : section->address);
    if (offset >= section->bytes.size()) return {};
    return section->bytes.subspan(offset, std::min<uint64_t>(size, section->bytes.size() - offset));
  }

  // For messages: the nearest symbol at or before it.
  std::string name_at(ShippedAddress place) const {
    const BinarySymbol* best = nullptr;
    for (const BinarySymbol& symbol : shipped_.symbols()) {
      if (!symbol.defined() || symbol.name.empty() || symbol.type == SymbolType::file) continue;
      if (shipped_.relocatable() && symbol.section != place.section) continue;
      if (symbol.value <= place.offset && (best == nullptr || symbol.value > best->value)) best = &symbol;
    }
    if (best == nullptr) return fmt::format("{}+{:#x}", shipped_.section_name(place.section), place.offset);
    if (best->value == place.offset) return std::string(best->name);
    return fmt::format("{}+{:#x}", best->name, place.offset - best->value);
  }

  // ---- why

  std::string cause() {
    if (!cause_) cause_ = find_cause();
    return *cause_;
  }

  std::string find_cause() {
    std::string_view ours = compiler_of(plain_);
    std::string_view theirs = compiler_of(shipped_);
    if (!ours.empty() && !theirs.empty() && ours != theirs)
      return fmt::format("another compiler (here '{}', the kernel's '{}')", ours, theirs);
    size_t all = 0;
    size_t equal = 0;
    for (const BinarySymbol& symbol : plain_.symbols()) {
      if (symbol.type != SymbolType::function || !symbol.defined() || symbol.size == 0) continue;
      if (symbol.binding == SymbolBinding::weak) continue;
      ++all;
      equal += !check(symbol);
    }
    std::string share = fmt::format("{} of {} functions of {} are as shipped", equal, all, file_name_);
    if (equal * 2 < all) return fmt::format("another configuration or other compiler flags ({})", share);
    return fmt::format("another version of the source ({})", share);
  }

  const CodeFacts& code_;
  const ProofFacts& facts_;
  std::span<const std::string_view> traced_calls_;
  bool big_endian_;
  const Binary& plain_;
  const Binary& shipped_;
  std::string file_name_;
  bool has_group_ = false;
  std::vector<std::vector<ShippedAddress>> distances_;  // by section of the object: where it may lie
  std::vector<std::optional<std::vector<BinaryRelocation>>> plain_relocations_;
  std::vector<std::vector<uint64_t>> jump_sites_;
  std::map<uint32_t, std::vector<BinaryRelocation>> shipped_relocations_;
  std::optional<std::string> cause_;
};

}  // namespace

std::vector<Finding> prove(const Binary& plain, const Binary& shipped, std::span<const std::string> functions,
                           std::string_view file_name) {
  const Arch* arch = find_arch(plain.machine());
  if (arch == nullptr || arch->proof == nullptr) throw Error(missing_parts(plain.machine()));
  if (shipped.machine() != plain.machine())
    throw Error(
        fmt::format("the proof was given an object for {} and a shipped file of another architecture", arch->elf.name));
  std::vector<Finding> findings = Prover(*arch, plain, shipped, file_name).run(functions);
  plain.require_unchanged();
  shipped.require_unchanged();
  return findings;
}

std::vector<Finding> prove(const std::filesystem::path& plain, const std::filesystem::path& shipped,
                           std::span<const std::string> functions, std::string_view file_name) {
  return prove(Binary::open(plain), Binary::open(shipped), functions, file_name);
}

}  // namespace kpatch
