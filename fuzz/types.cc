// The types of two objects, as their DWARF has them, and what changes between them: an Error, or a text.
#include "create-diff-object/data-layout.h"
#include "create-diff-object/object.h"
#include "create-diff-object/source-lines.h"
#include "fuzz/mutate-pair.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto [orig, patched] = kpatch::split_pair(data, size);
  try {
    const auto read = [](const kpatch::Bytes& file) {
      return kpatch::Object::read(std::as_bytes(std::span{file.data, file.size}), "input");
    };
    const kpatch::Object before = read(orig), after = read(patched);
    const kpatch::SourceLines before_lines(before), after_lines(after);
    const kpatch::Types old_types = kpatch::read_types(before_lines), new_types = kpatch::read_types(after_lines);
    for (const auto& [name, layout] : old_types.layouts) {
      if (kpatch::layout_change(layout, layout)) std::abort();  // nothing differs from itself
      const auto other = new_types.layouts.find(name);
      if (other != new_types.layouts.end()) kpatch::layout_change(layout, other->second);
    }
    for (uint32_t i = 1; i < after.sections().size(); ++i) after_lines.at(kpatch::SectionId{i}, 0);
  } catch (const kpatch::Error&) {
  }
  return 0;
}
