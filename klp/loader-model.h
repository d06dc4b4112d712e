// What the loader of one kernel does with a module's sections: the rows of arch/loader.h that hold for it. doc/loader.md
// tells the stages.
#pragma once

#include <optional>
#include <string_view>

#include "arch/arch.h"
#include "lookup/lookup.h"

namespace kpatch {

class LoaderModel {
 public:
  // release: of the kernel. vmlinux: whose structs are asked for their sizes; may be nullptr. arch: nullptr when it is none that is
  // known: the rows of every architecture alone.
  LoaderModel(std::string_view release, const Binary* vmlinux, const Arch* arch);

  // False when the release doesn't begin with two numbers: then it is taken for the oldest kernel.
  bool knows_release() const { return series_.has_value(); }

  const LoaderSection* section(std::string_view name) const;     // nullptr: the loader looks for no such name
  const BootSection* boot_section(std::string_view name) const;  // nullptr: vmlinux has no reader for it
  uint64_t entry_size(const LoaderSection& section) const;       // bytes; 0: it is no table
  static bool has_field(const EntryField& field, uint64_t entry_size);
  // The loader reads it before it applies relocations that come late.
  bool early(std::string_view name) const;

  // sizeof(struct module); nothing where vmlinux has no types.
  std::optional<uint64_t> module_size() const { return struct_size("module"); }

  // KSYM_NAME_LEN without its NUL: 127 before 6.1, 511 since (include/linux/kallsyms.h).
  size_t max_symbol_name() const { return since(6, 1) ? 511 : 127; }

  // Whether relocations of .data..percpu are applied (kernel/module/main.c, apply_relocations, since 6.16). Before, the
  // section had lost SHF_ALLOC by then.
  bool relocates_per_cpu() const { return since(6, 16); }

  // Whether two sections of one name make mod_sysfs_setup fail (kernel/module/sysfs.c, add_sect_attrs): not in 6.1, in
  // 6.12 they do; between them it was not looked up.
  bool refuses_equal_names() const { return since(6, 2); }

  // Whether the loader takes CRCs from __version_ext_crcs and __version_ext_names (kernel/module/version.c, since 6.14).
  bool reads_extended_versions() const { return since(6, 14); }

 private:
  std::optional<uint64_t> struct_size(std::string_view name) const {
    return vmlinux_ == nullptr ? std::nullopt : vmlinux_->struct_size(name);
  }
  bool since(unsigned version, unsigned patchlevel) const {
    return series_ && *series_ >= KernelSeries{version, patchlevel};
  }

  std::optional<KernelSeries> series_;
  const Binary* vmlinux_;
  const Arch* arch_;
};

}  // namespace kpatch
