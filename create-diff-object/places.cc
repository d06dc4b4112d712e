// From names back to lines
//
//   { show_val, .text.show_val+0x1a }  →  symbol show_val in .text.show_val  →  fs/proc/meminfo.c:34
//
// Stages know sections and symbols, and most runs find nothing: DWARF is read once there is something to say.
#include "create-diff-object/places.h"

#include <algorithm>
#include <optional>

#include "create-diff-object/source-lines.h"

namespace kpatch {
namespace {

class Lines {
 public:
  explicit Lines(const Object& object) : object_(object) {}

  // Whether the object has what the finding is about.
  bool add(Location& location) {
    const SymbolId id = find(location);
    if (id == no_symbol) return false;
    if (!lines_) lines_.emplace(object_);
    const Symbol& s = object_.symbol(id);
    std::optional<SourcePlace> place = s.function() ? beginning(id) : lines_->variable(s.section, s.value);
    if (s.function() && location.offset) {
      const std::vector<int> calls = lines_->call_lines(s.section, *location.offset);
      const std::optional<SourcePlace> exact = lines_->at(s.section, *location.offset);
      // An inlined function's own line says little of the one that the finding names: its call does.
      if (place && !calls.empty() && calls.back() != 0)
        place->line = calls.back();
      else if (exact)
        place = exact;
    }
    if (!place) return true;
    location.source = place->file;
    location.line = place->line;
    return true;
  }

 private:
  // Instructions for ftrace at a function's start may have no line (arm64).
  std::optional<SourcePlace> beginning(SymbolId id) const {
    constexpr uint64_t farthest = 64;
    const Symbol& s = object_.symbol(id);
    const uint64_t end = std::min(object_.extent(id).end, s.value + farthest);
    for (uint64_t at = s.value; at < end; ++at)
      if (auto place = lines_->at(s.section, at)) return place;
    return std::nullopt;
  }

  SymbolId find(const Location& location) const {
    SymbolId found = no_symbol;
    for (uint32_t i = 1; i < object_.symbols().size(); ++i) {
      const Symbol& s = object_.symbols()[i];
      if (s.name != location.function || s.section == no_section) continue;
      if (object_.section(s.section).name != location.section) continue;
      if (found != no_symbol) return no_symbol;
      found = SymbolId{i};
    }
    return found;
  }

  const Object& object_;
  std::optional<SourceLines> lines_;
};

}  // namespace

Location place_of(const Object& object, SymbolId id) {
  const Symbol& s = object.symbol(id);
  Location location{.function = std::string{s.name}};
  if (s.section != no_section) location.section = object.section(s.section).name;
  return location;
}

void add_lines(std::vector<Finding>& findings, const Object& patched, const Object& orig) {
  Lines patched_lines(patched), orig_lines(orig);
  for (Finding& finding : findings) {
    Location& location = finding.location;
    if (!location.function.empty() && !location.section.empty() && !patched_lines.add(location))
      orig_lines.add(location);
  }
}

}  // namespace kpatch
