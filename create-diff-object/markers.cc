// Author macros leave data in sections that never reach the output:
//
//   .kpatch.ignore.functions    pointers to functions whose change is to be ignored
//   .kpatch.ignore.sections     pointers to names of sections, or the names themselves
//   .kpatch.force               pointers to functions that are patched whether they changed or not
//   .kpatch.callbacks.KIND      entries { function, object name }; the object name is filled in here

#include "create-diff-object/markers.h"

#include <algorithm>

namespace kpatch {

Markers read_markers(const Object& object) {
  Markers markers;
  constexpr std::string_view callbacks = ".kpatch.callbacks.";
  for (uint32_t i = 1; i < object.sections().size(); ++i) {
    const Section& section = object.sections()[i];
    if (section.kind != SectionKind::author_macros) continue;
    if (section.name.starts_with(callbacks)) {
      for (const Relocation& r : section.relocations)
        if (r.offset % 16 == 0)
          markers.callbacks.push_back({SectionId{i}, r.offset, std::string{section.name.substr(callbacks.size())}});
    } else if (section.name == ".kpatch.ignore.functions" || section.name == ".kpatch.force") {
      for (const Relocation& r : section.relocations) {
        const Target target = object.target(r);
        if (target.symbol == no_symbol) continue;
        (section.name == ".kpatch.force" ? markers.forced : markers.ignored_functions).insert(target.symbol);
      }
    } else if (section.name.starts_with(".kpatch.ignore.sections")) {
      for (const Relocation& r : section.relocations)
        if (const Target target = object.target(r); target.is_string)
          markers.ignored_sections.insert(std::string{target.string});
      if (section.relocations.empty()) {
        const std::string_view text{reinterpret_cast<const char*>(section.contents.data()), section.contents.size()};
        for (size_t at = 0; at < text.size();) {
          const size_t end = std::min(text.find('\0', at), text.size());
          if (end > at) markers.ignored_sections.insert(std::string{text.substr(at, end - at)});
          at = end + 1;
        }
      }
    }
  }
  return markers;
}

}  // namespace kpatch
