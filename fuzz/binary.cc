// Everything that a parent object can be asked, of any bytes: ELF, an index, readelf's text, compressed bytes.
#include "lookup/binary.h"

#include "fuzz/input-file.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kpatch::InputFile input(data, size);
  try {
    kpatch::Binary parent = kpatch::Binary::open(input.path());
    for (const kpatch::BinarySymbol& symbol : parent.symbols()) {
      parent.contents(symbol);
      parent.section_name(symbol.section);
      parent.in_ro_after_init(symbol);
      for (uint32_t same : parent.named(symbol.name)) parent.sympos(same);
    }
    for (uint32_t section = 0; section < parent.sections().size(); ++section) parent.relocations(section);
    parent.units();
    parent.producer();
    parent.banner();
    parent.build_id();
    parent.struct_size("alt_instr");
    parent.seals_ro_after_init_keys();
  } catch (const kpatch::Error&) {
  }
  return 0;
}
