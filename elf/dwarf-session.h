// DWARF of a file in memory.
#pragma once

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include <cstddef>
#include <span>
#include <string>

#include "elf/elf-handle.h"

namespace kpatch {

class DwarfSession {
 public:
  // A session over an image, which must outlive it and is only read. Where there is no DWARF, or libdw doesn't know the
  // machine, dwarf() is null. name: for messages. Throws Error when there is no memory for it.
  DwarfSession(std::span<const std::byte> image, const std::string& name);
  ~DwarfSession();
  DwarfSession(const DwarfSession&) = delete;
  DwarfSession& operator=(const DwarfSession&) = delete;

  Dwarf* dwarf() const { return dwarf_; }
  // Of a relocatable file, whose sections libdwfl has laid out one behind the other; else null.
  Dwfl_Module* module() const { return module_; }

 private:
  void open_relocatable(std::span<const std::byte> image, const std::string& name);

  ElfHandle elf_;
  Dwfl* dwfl_ = nullptr;
  Dwfl_Module* module_ = nullptr;
  Dwarf* dwarf_ = nullptr;
};

}  // namespace kpatch
