// What is known of a shipped binary (vmlinux or a module): its symbols in the order of its symbol table, sympos,
// ftrace sites, entry sizes of special sections, translation units.
//
// A Binary is made from an ELF file (vmlinux, .ko, .o; also .ko.xz, .ko.gz, .ko.zst), from the text that
// `readelf -s --wide` prints (symbols alone), or from the index that write_index() made of one (fast: mapped, nothing is
// parsed).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "elf/elf.h"

namespace kpatch {

struct BinarySymbol {
  std::string_view name;
  uint64_t value = 0;       // address in vmlinux, offset in its section in a relocatable file
  uint64_t size = 0;        // bytes
  uint32_t section = 0;     // ELF section index, 0 (SHN_UNDEF) when undefined; see reserved_section() for SHN_ABS …
  uint32_t file = no_file;  // index into files(): the FILE symbol before a local; no_file for globals
  SymbolType type = SymbolType::none;
  SymbolBinding binding = SymbolBinding::local;
  bool has_ftrace_site = false;     // an entry of __mcount_loc lies at or just behind its start
  bool has_landing_pad = false;     // the first bytes in the file are one (x86: ENDBR64)
  bool landing_pad_sealed = false;  // a table lists its start: the kernel overwrites the landing pad

  static constexpr uint32_t no_file = UINT32_MAX;
  bool defined() const { return section != 0; }
};

// What BinarySymbol::section holds for an index that is no section's (SHN_ABS, SHN_COMMON …). A file of more than
// 65,280 sections has one numbered 0xfff1 as well, so these lie above all that can be counted.
constexpr uint32_t reserved_section(uint16_t index) { return 0xffff0000u | index; }

// The local symbols behind one FILE symbol: symbols()[first .. first + count).
struct FileGroup {
  std::string_view name;  // as the compiler wrote it: "meminfo.c"
  uint32_t first = 0;
  uint32_t count = 0;
};

struct BinarySection {
  std::string_view name;
  uint64_t address = 0;
  uint64_t size = 0;
  uint64_t flags = 0;                // SHF_*
  uint64_t entry_size = 0;           // of a table or of mergeable contents
  std::span<const std::byte> bytes;  // empty when it has none in the file (SHT_NOBITS)
};

struct BinaryRelocation {
  uint32_t section = 0;  // the section that it changes
  uint64_t offset = 0;   // in it; an address in vmlinux
  uint32_t symbol = 0;   // index into symbols(), 0 for none
  int64_t addend = 0;
  uint32_t type = 0;  // R_*
};

// Of write_index(): whoever keeps an index keeps it under this number, so that no version meets another's.
inline constexpr uint32_t index_version = 5;

struct BinaryData;  // lookup/binary-data.h, for the library alone

class Binary {
 public:
  // Reads an ELF file, an index or `readelf -s --wide` text; which one it is shows in the first bytes.
  // Throws Error (naming the file) when it is none of these, is a 32-bit ELF file, is truncated, or has no symbol
  // table. Costs one pass over the symbol table; DWARF and BTF are not touched before units(), producer() or
  // struct_size() ask for them.
  static Binary open(const std::filesystem::path& path);
  Binary(Binary&&) noexcept;
  Binary& operator=(Binary&&) noexcept;
  ~Binary();

  // Throws Error when the file was written to since it was opened: what was read later than that may be of another one.
  void require_unchanged() const;

  uint16_t machine() const;  // ELF e_machine; 0 for readelf text
  bool relocatable() const;  // a module or object, not vmlinux

  std::span<const BinarySymbol> symbols() const;  // symbol table order, the NULL symbol included
  std::span<const FileGroup> files() const;       // symbol table order

  // Every defined symbol of that name, as indices into symbols(), in the order in which the kernel counts them:
  // by address in vmlinux (kallsyms is sorted by address), in symbol table order in a module. FILE and SECTION
  // symbols are not among them, nor those of vmlinux that kallsyms leaves out (absolute ones, __crc_*, …).
  std::span<const uint32_t> named(std::string_view name) const;

  // old_sympos (kernel: struct klp_func, klp_find_object_symbol): 0 when the name is unique, else the 1-based
  // rank of symbols()[symbol] in named(). Locals and globals both count. Throws Error when the symbol is none that
  // the kernel can look up (undefined, absolute, a FILE or SECTION symbol).
  unsigned sympos(uint32_t symbol) const;

  // Whether the kernel's list of a module's symbols loses this one when the module's init has returned, so that those
  // behind it count one less from then on: init sections, what isn't kept in memory, what is in no section
  // (kernel/module/kallsyms.c, is_core_symbol). False in vmlinux, whose list stays as it is.
  bool forgotten_after_init(const BinarySymbol& symbol) const;
  // One of the same name that is forgotten and counts before symbols()[symbol]: the sympos of that is another one while
  // the module is loaded than later. nullptr: none.
  const BinarySymbol* shifts_sympos(uint32_t symbol) const;

  // sizeof of a struct of the kernel, in bytes, from DWARF or BTF. An index knows those of which its architecture's
  // tables consist (Arch::entry_structs) and loader_structs(), an ELF file knows every named struct.
  std::optional<uint64_t> struct_size(std::string_view name) const;

  // Names of the compiled translation units as DWARF has them, for example "fs/proc/meminfo.c" or
  // "arch/x86/kvm/../../../virt/kvm/kvm_main.c", sorted; empty without DWARF.
  std::span<const std::string_view> units() const;

  std::string_view banner() const;    // linux_banner ("Linux version 6.12.117+deb12-cloud-amd64 …"), or empty
  std::string_view producer() const;  // DW_AT_producer of the first C unit, or empty
  std::string_view build_id() const;  // lower case hex, or empty

  // True when the symbol lies between __start_ro_after_init and __end_ro_after_init of vmlinux: memory that the
  // kernel writes to while it boots and never again.
  bool in_ro_after_init(const BinarySymbol& symbol) const;

  // True when the kernel seals static keys in that memory (jump_label_init_ro, since 6.10): a module may then have
  // jump entries for them. Older kernels write to the key when such a module is loaded, and die of it.
  bool seals_ro_after_init_keys() const;

  // The bytes of the file at a symbol, symbol.size of them. Empty when the parent was opened from text or an index,
  // when the symbol has no bytes in the file (.bss, undefined), or when it reaches beyond its section.
  std::span<const std::byte> contents(const BinarySymbol& symbol) const;

  // Name of the ELF section of that index; empty for indices that are none, and for parents opened from text.
  std::string_view section_name(uint32_t section) const;

  // By ELF section index. Opened from an index they have nothing but a name, from text there are none.
  std::span<const BinarySection> sections() const;

  // The relocations (RELA) of a section of a relocatable file that was opened as ELF, sorted by offset; else none.
  // Read anew at each call. Throws Error when they are damaged.
  std::vector<BinaryRelocation> relocations(uint32_t section) const;

  // Writes the index. The write is atomic: a temporary file beside it, then rename. Throws Error when it fails.
  void write_index(const std::filesystem::path& path) const;

 private:
  explicit Binary(std::unique_ptr<BinaryData> data);
  std::unique_ptr<BinaryData> data_;
};

}  // namespace kpatch
