// In an object or a module what DWARF refers to (.debug_str, addresses) are relocations. Libdwfl applies them, and gives
// the sections addresses, in its own view of a file; it takes no image. So it gets the bytes as a file in memory: the
// file that they came from may be compressed, or another one by now.
#include "elf/dwarf-session.h"

#include <fmt/format.h>
#include <gelf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/error.h"

namespace kpatch {

DwarfSession::DwarfSession(std::span<const std::byte> image, const std::string& name) : elf_(open_elf(image)) {
  GElf_Ehdr header;
  if (elf_ == nullptr || gelf_getehdr(elf_.get(), &header) == nullptr) return;
  if (header.e_type != ET_REL) {
    dwarf_ = dwarf_begin_elf(elf_.get(), DWARF_C_READ, nullptr);
    return;
  }
  elf_.reset();
  open_relocatable(image, name);
}

DwarfSession::~DwarfSession() {
  if (dwfl_ != nullptr) {
    dwfl_end(dwfl_);
  } else if (dwarf_ != nullptr) {
    dwarf_end(dwarf_);
  }
}

void DwarfSession::open_relocatable(std::span<const std::byte> image, const std::string& name) {
  // Nothing is looked for elsewhere.
  static constexpr Dwfl_Callbacks callbacks = {
      [](Dwfl_Module*, void**, const char*, Dwarf_Addr, char**, Elf**) { return -1; },
      [](Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*, GElf_Word, char**) { return -1; },
      dwfl_offline_section_address, nullptr};
  int file = ::memfd_create("kpatch-object", MFD_CLOEXEC);
  if (file < 0) throw Error(fmt::format("{}: no memory for its DWARF", name));
  for (size_t done = 0; done < image.size();) {
    ssize_t written = ::write(file, image.data() + done, image.size() - done);
    if (written <= 0) {
      ::close(file);
      throw Error(fmt::format("{}: no memory for its DWARF", name));
    }
    done += static_cast<size_t>(written);
  }
  dwfl_ = dwfl_begin(&callbacks);
  module_ = dwfl_ == nullptr ? nullptr : dwfl_report_offline(dwfl_, "object", name.c_str(), file);
  if (module_ == nullptr) {
    ::close(file);
    return;
  }
  dwfl_report_end(dwfl_, nullptr, nullptr);
  Dwarf_Addr bias = 0;
  dwarf_ = dwfl_module_getdwarf(module_, &bias);
}

}  // namespace kpatch
