// kpatch-shipped-code: the note of a livepatch, made for other functions than its own: what tests of `kpatch check` need.
//
//     kpatch-shipped-code MODULE RELEASE VMLINUX EVERY        every EVERY-th function that can be patched
//
// Prints how many functions and bytes there are, and how many are compared.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "arch/arch.h"
#include "klp/shipped-code.h"
#include "support/standard-output.h"

int main(int argc, char** argv) {
  using namespace kpatch;
  if (argc != 5) {
    fmt::print(stderr, "usage: kpatch-shipped-code MODULE RELEASE VMLINUX EVERY\n");
    return 1;
  }
  try {
    const Binary vmlinux = Binary::open(argv[3]);
    const ShippedCode shipped(vmlinux, "vmlinux", LoaderModel(argv[2], &vmlinux, find_arch(vmlinux.machine())));
    const auto every = static_cast<unsigned>(std::max(1, std::atoi(argv[4])));
    std::vector<ShippedFunction> functions;
    size_t bytes = 0, compared = 0, seen = 0;
    for (uint32_t i = 0; i < vmlinux.symbols().size(); ++i) {
      const BinarySymbol& symbol = vmlinux.symbols()[i];
      // Code that is needed once is gone when the machine runs.
      const bool lasts = vmlinux.section_name(symbol.section) == ".text";
      if (symbol.type != SymbolType::function || !lasts || !symbol.has_ftrace_site || seen++ % every != 0) continue;
      auto function = shipped.function(i);
      if (!function) continue;
      bytes += function->code.size();
      compared += static_cast<size_t>(std::ranges::count(function->compared, true));
      functions.push_back(std::move(*function));
    }
    write_shipped_code(argv[1], vmlinux.build_id(), functions);
    fmt::print("{} functions, {} bytes, {} compared ({:.1f} %)\n", functions.size(), bytes, compared,
               bytes == 0 ? 0.0 : 100.0 * static_cast<double>(compared) / static_cast<double>(bytes));
    return after_output(0);
  } catch (const std::exception& error) {
    fmt::print(stderr, "kpatch-shipped-code: {}\n", error.what());
    return 1;
  }
}
