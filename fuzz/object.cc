// Any bytes as a relocatable object: an Error, or a value whose every reference can be followed.
#include "create-diff-object/object.h"

#include <optional>

#include "create-diff-object/correlate.h"
#include "create-diff-object/layout.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const kpatch::Object object = kpatch::Object::read(std::as_bytes(std::span{data, size}), "input");
    for (uint32_t i = 1; i < object.symbols().size(); ++i) object.extent(kpatch::SymbolId{i});
    for (const kpatch::Section& section : object.sections())
      for (const kpatch::Relocation& relocation : section.relocations) object.meaning(relocation);
    kpatch::Diagnostics diagnostics;
    kpatch::Layout(
        object, [](std::string_view) { return std::optional<uint64_t>{12}; }, diagnostics);
    kpatch::find_parents(object);
    kpatch::find_users(object);
  } catch (const kpatch::Error&) {
  }
  return 0;
}
