// What the kernel's module loader, and what it tells of a module, reads by a section's name: one row a section. Which
// rows hold for a kernel, and how long its entries are, klp/loader-model.h says.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace kpatch {

// The first two numbers of a release: "6.12.117+deb12-cloud-amd64" is of 6.12.
struct KernelSeries {
  unsigned version = 0, patchlevel = 0;
  auto operator<=>(const KernelSeries&) const = default;  // NOLINT(modernize-use-nullptr): the 0 it is compared with
};

// Nothing when the release doesn't begin with two numbers.
std::optional<KernelSeries> series_of(std::string_view release);

// When load_module() of kernel/module/main.c (kernel/module.c before 5.18) has a section read, in its order. Late
// relocations, those of `.klp.rela.MODULE.*`, are applied in `init` at the earliest.
enum class LoaderStage : uint8_t {
  header,    // elf_validity_*, check_modinfo
  layout,    // layout_sections: names and flags decide what becomes of a section
  find,      // find_module_sections: pointers and counts
  relocate,  // apply_relocations, `.klp.rela.vmlinux.*` among them
  post,      // post_relocation, module_finalize: code is patched
  ftrace,    // ftrace_module_init
  complete,  // complete_formation: from here on only what has SHF_WRITE can be written
  coming,    // notifiers: jump labels, static calls, tracepoints
  args,      // parse_args, mod_sysfs_setup
  init,      // the module's init, thus klp_enable_patch
  live,      // init memory is freed
  run,       // at any time from then on
};

// What a field of an entry refers to.
enum class Pointee : uint8_t {
  code,       // code of this module
  something,  // of this module, of the kernel, of another module
  maybe,      // something, or nothing
};

struct EntryField {
  uint8_t offset = 0, width = 0;  // bytes
  Pointee pointee = Pointee::something;
  uint16_t only_in = 0;   // the field is there in entries of this size alone; 0: in all
  bool distance = false;  // from the field itself, as in all those of four bytes; else an address
};

// Bytes of an entry in kernels of this series and later ones.
struct SizeSince {
  KernelSeries since;
  uint16_t size = 0;
};

struct LoaderSection {
  std::string_view name;
  bool prefix = false;        // for all names that begin with it
  std::string_view reader{};  // the kernel's function that reads it
  LoaderStage stage = LoaderStage::find;
  bool written = false;  // the kernel writes to it from `complete` on: without SHF_WRITE it faults
  // Of tables. An entry's size is that of the struct as vmlinux has it, else that of the series; 0: it is no table.
  std::string_view struct_name{};
  std::array<SizeSince, 2> sizes{};
  uint16_t last = 0;                   // bytes that the last entry has at least, where it may lack its padding
  std::array<EntryField, 5> fields{};  // those of width 0 are none
  bool zero = false;                   // entries of zeros are passed over
  std::string_view harm{};             // what the reader would do with an entry that refers to nothing
};

// struct jump_entry where its pointers are relative (CONFIG_HAVE_ARCH_JUMP_LABEL_RELATIVE)
inline constexpr LoaderSection relative_jump_table{
    .name = "__jump_table",
    .reader = "jump_label_add_module",
    .stage = LoaderStage::coming,
    .written = true,
    .struct_name = "jump_entry",
    .sizes = {{{{}, 16}}},
    .fields = {EntryField{0, 4, Pointee::code}, EntryField{4, 4, Pointee::code},
               EntryField{8, 8, Pointee::something, 0, true}},
    .harm = "would take the table itself for what it refers to, and write to it"};

// Sections that the kernel reads in its own image alone: entries in a module are never seen.
enum class NameMatch : uint8_t { whole, prefix, suffix };
struct BootSection {
  std::string_view name;
  NameMatch match = NameMatch::whole;
  std::string_view reader{};  // who reads vmlinux's range
};

// Structs whose sizes the model asks of vmlinux, beside those of which an architecture's tables consist.
std::span<const std::string_view> loader_structs();

}  // namespace kpatch
