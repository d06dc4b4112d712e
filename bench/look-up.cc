// Asks what a build asks of a vmlinux, and more of it: 12,000 symbols with sympos and export, each special struct.
//
//   bench-look-up VMLINUX-OR-INDEX MODULE.SYMVERS [INDEX]     INDEX: the file to write an index to
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string_view>

#include "arch/arch.h"
#include "lookup/binary.h"
#include "lookup/symvers.h"

int main(int argc, char** argv) {
  if (argc < 3) return 1;
  try {
    const kpatch::Binary parent = kpatch::Binary::open(argv[1]);
    const kpatch::Symvers symvers = kpatch::Symvers::read(argv[2]);
    uint64_t asked = 0, duplicates = 0, exports = 0, bytes = 0;
    // Far more than any patch refers to.
    constexpr size_t step = 16;
    for (size_t i = 0; i < parent.symbols().size(); i += step) {
      const std::string_view name = parent.symbols()[i].name;
      const auto found = parent.named(name);
      if (!found.empty()) duplicates += parent.sympos(found.back()) != 0;
      exports += symvers.find(name) != nullptr;
      ++asked;
    }
    const kpatch::Arch* arch = kpatch::find_arch(parent.machine());
    if (arch == nullptr) throw std::runtime_error(kpatch::missing_parts(parent.machine()));
    for (const std::string_view name : arch->entry_structs()) bytes += parent.struct_size(name).value_or(0);
    if (argc > 3) parent.write_index(argv[3]);
    std::cout << parent.symbols().size() << " symbols, " << asked << " asked for: " << duplicates << " with a sympos, "
              << exports << " exported, structs of " << bytes << " bytes\n";
  } catch (const std::exception& problem) {
    std::cerr << problem.what() << "\n";
    return 1;
  }
}
