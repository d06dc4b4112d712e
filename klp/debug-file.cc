// A build ID is a digest of the whole file, debug information included, so that two links of the same code give different
// ones. The module keeps its own: it is the same with --debug-info and without.
#include "klp/debug-file.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "elf/elf.h"
#include "support/error.h"

namespace kpatch {
namespace {

constexpr std::string_view build_id = ".note.gnu.build-id";

// What is loaded, in the order of the file.
std::vector<KlpSection*> loaded(KlpElf& elf) {
  std::vector<KlpSection*> sections;
  for (KlpSection& section : elf.sections)
    if (section.allocated() && section.header.sh_type != SHT_RELA) sections.push_back(&section);
  return sections;
}

}  // namespace

void match_debug_file(const std::filesystem::path& module, const std::filesystem::path& debug) {
  KlpElf ours = KlpElf::read(module), other = KlpElf::read(debug);
  const std::vector<KlpSection*> a = loaded(ours), b = loaded(other);
  const auto differ = [&](std::string_view what) {
    throw Error(
        fmt::format("{}: {} isn't as in {}: it would tell of other code", debug.string(), what, module.string()));
  };
  if (a.size() != b.size()) differ("the number of sections");
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i]->name != b[i]->name || a[i]->header.sh_size != b[i]->header.sh_size) differ("section " + a[i]->name);
    if (a[i]->name == build_id)
      b[i]->bytes = a[i]->bytes;
    else if (a[i]->bytes != b[i]->bytes)
      differ("section " + a[i]->name);
  }
  // gdb places the sections of a relocatable file, and what DWARF says of them, only where none has an address; ld -r gives
  // .data one.
  for (KlpSection& section : other.sections) section.header.sh_addr = 0;
  other.write(debug);
}

}  // namespace kpatch
