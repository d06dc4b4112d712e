// What a reviewer reads of a function
//
//   +0x2f  call seq_printf        fs/proc/meminfo.c:34
//   +0x34  mov vm_committed_as, %rax
//   +0x3b  jne                    → +0x60
//
// The same bytes say other things in two objects: a string moves in its section, a static function gets another number.
// So a field is shown as what it refers to, by the kernel's name where the symbol is there already, and the two texts of
// an instruction are equal when it does the same.
#include "create-diff-object/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "create-diff-object/source-lines.h"

namespace kpatch {
namespace {

constexpr size_t longest_string = 48;

std::string quoted(std::string_view string) {
  std::string text = "\"";
  for (const char c : string.substr(0, longest_string)) {
    if (c == '\0') continue;  // of wide characters
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n')
      text += "\\n";
    else if (c == '\t')
      text += "\\t";
    else if (c == '"' || c == '\\')
      text += {'\\', c};
    else if (byte < 0x20 || byte == 0x7f)
      text += fmt::format("\\{:03o}", byte);
    else
      text += c;
  }
  return text + (string.size() > longest_string ? "…\"" : "\"");
}

class Lister {
 public:
  // twins: by symbol id of the object, its twin in `named`, which calls it as the kernel does.
  Lister(const Object& object, const Object& named, const std::vector<SymbolId>* twins)
      : object_(object), named_(named), twins_(twins), lines_(object) {}

  std::vector<ListingLine> list(SymbolId id) const {
    std::vector<ListingLine> lines;
    const Symbol& s = object_.symbol(id);
    if (s.section == no_section || s.size == 0) return lines;
    const Section& section = object_.section(s.section);
    const uint64_t end = std::min<uint64_t>(s.value + s.size, section.contents.size());
    const auto list = object_.arch().code.list;
    const ListingInput input{section.contents.first(end), [&](uint64_t field) { return meaning(s.section, field); }};
    for (uint64_t at = s.value; at < end;) {
      const std::optional<ListedInstruction> listed = list(input, at);
      ListingLine line{at - s.value, listed ? listed->text : fmt::format(".byte {:#04x}", byte_at(section, at)), {}};
      if (listed && listed->branch) {
        if (*listed->branch >= s.value && *listed->branch < end)
          line.to = *listed->branch - s.value;
        else
          line.text += " " + place(s.section, *listed->branch);
      }
      if (auto source = lines_.position(s.section, at)) {
        line.file = std::move(source->file);
        line.line = source->line;
      }
      lines.push_back(std::move(line));
      at += listed ? listed->length : 1;
    }
    return lines;
  }

 private:
  static unsigned byte_at(const Section& section, uint64_t at) {
    return std::to_integer<unsigned>(section.contents[at]);
  }

  std::string name_of(SymbolId id) const {
    const SymbolId twin = twins_ == nullptr ? id : (*twins_)[index(id)];
    return std::string{twin == no_symbol ? object_.symbol(id).name : named_.symbol(twin).name};
  }

  std::string place(SectionId section, uint64_t offset) const {
    const SymbolId id = object_.symbol_at(section, offset);
    if (id == no_symbol) return fmt::format("{}+{:#x}", object_.section(section).name, offset);
    const uint64_t from = offset - object_.symbol(id).value;
    return from == 0 ? name_of(id) : fmt::format("{}+{:#x}", name_of(id), from);
  }

  std::optional<std::string> meaning(SectionId section, uint64_t field) const {
    const auto relocations = object_.relocations(section, field, field + 1);
    if (relocations.empty()) return std::nullopt;
    const Target target = object_.meaning(relocations.front());
    if (target.is_string) return quoted(target.string);
    std::string name;
    if (target.symbol != no_symbol)
      name = name_of(target.symbol);
    else if (target.section != no_section)
      name = object_.section(target.section).name;
    if (target.offset == 0) return name;
    return target.offset > 0 ? fmt::format("{}+{:#x}", name, target.offset)
                             : fmt::format("{}-{:#x}", name, -target.offset);
  }

  const Object& object_;
  const Object& named_;
  const std::vector<SymbolId>* twins_;
  SourceLines lines_;
};

}  // namespace

ColdParts cold_parts(const Object& object) {
  const std::vector<SymbolId> parents = find_parents(object);
  ColdParts parts;
  for (uint32_t i = 1; i < parents.size(); ++i)
    if (parents[i] != no_symbol && is_cold_part(object.symbols()[i].name)) parts.emplace(parents[i], SymbolId{i});
  return parts;
}

uint64_t code_size(const Object& object, const ColdParts& parts, SymbolId function) {
  const auto size_of = [&](SymbolId id) {
    const Object::Extent extent = object.extent(id);
    return extent.end - extent.begin;
  };
  uint64_t size = size_of(function);
  for (auto [part, end] = parts.equal_range(function); part != end; ++part) size += size_of(part->second);
  return size;
}

std::vector<ListingReport> list_functions(const Pair& pair, const Selection& selection) {
  std::vector<ListingReport> listings;
  if (pair.patched.arch().code.list == nullptr) return listings;
  const Lister orig(pair.orig, pair.orig, nullptr), patched(pair.patched, pair.orig, &pair.twins.to_orig);
  const ColdParts orig_parts = cold_parts(pair.orig), patched_parts = cold_parts(pair.patched);
  const auto add = [&](SymbolId before, SymbolId after) {
    ListingReport listing;
    if (before != no_symbol) listing.orig = orig.list(before);
    if (after != no_symbol) listing.patched = patched.list(after);
    listing.name = before != no_symbol ? pair.orig.symbol(before).name : pair.patched.symbol(after).name;
    if (!listing.orig.empty() || !listing.patched.empty()) listings.push_back(std::move(listing));
  };
  const auto add_with_parts = [&](SymbolId after) {
    const SymbolId before = pair.twins.orig(after);
    add(before, after);
    for (auto [part, end] = patched_parts.equal_range(after); part != end; ++part)
      add(pair.twins.orig(part->second), part->second);
    if (before == no_symbol) return;
    for (auto [part, end] = orig_parts.equal_range(before); part != end; ++part)
      if (pair.twins.patched(part->second) == no_symbol) add(part->second, no_symbol);
  };
  for (const SymbolId id : selection.functions) add_with_parts(id);
  for (const SymbolId id : selection.added)
    if (!is_cold_part(pair.patched.symbol(id).name)) add_with_parts(id);
  return listings;
}

nlohmann::json to_json(const ListingReport& listing) {
  const auto side = [](const std::vector<ListingLine>& lines) {
    nlohmann::json list = nlohmann::json::array();
    const ListingLine* before = nullptr;
    for (const ListingLine& line : lines) {
      nlohmann::json entry = {{"offset", line.offset}, {"text", line.text}};
      if (line.to) entry["to"] = *line.to;
      const bool moved = before == nullptr || before->line != line.line || before->file != line.file;
      if (line.line > 0 && moved) {
        entry["file"] = line.file;
        entry["line"] = line.line;
      }
      before = &line;
      list.push_back(std::move(entry));
    }
    return list;
  };
  return {{"name", listing.name}, {"original", side(listing.orig)}, {"patched", side(listing.patched)}};
}

}  // namespace kpatch
