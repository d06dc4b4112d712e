// A group's sections belong together: with the function come its own constants, and of two groups of one name (in two
// objects) a linker keeps the first and drops the other, whole:
//
//   $ readelf -gW file.o
//   COMDAT group section [    1] `.group' [helper] contains 2 sections:
//      [    5]   .text.helper
//      [    6]   .rodata.helper
//
// The diff object has no groups: what is copied is linked for its own sake. That is right as long as the patched group
// is the original one with other contents. Where a section has joined or left, or the group has come or gone, the
// kernel may run another object's copy of the function, so that no one can say what the patched one replaces: refused.

#include "create-diff-object/groups.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

struct NamedGroup {
  uint32_t flags = 0;
  std::vector<std::string_view> members;  // names, sorted
};

std::map<std::string_view, NamedGroup> by_signature(const Object& object, const std::vector<SectionGroup>& groups) {
  std::map<std::string_view, NamedGroup> named;
  for (const SectionGroup& group : groups) {
    NamedGroup& entry = named[group.signature];
    entry.flags |= group.flags;
    for (SectionId member : group.members)
      // A relocation section comes and goes with the first reference, and is compared with what it relocates.
      if (object.section(member).type != SHT_RELA) entry.members.push_back(object.section(member).name);
  }
  for (auto& [signature, group] : named) std::sort(group.members.begin(), group.members.end());
  return named;
}

}  // namespace

std::vector<SectionGroup> section_groups(const Object& object) {
  std::vector<SectionGroup> groups;
  for (const Section& section : object.sections()) {
    if (section.type != SHT_GROUP) continue;
    constexpr size_t word = sizeof(Elf32_Word);
    auto fail = [&] { throw Error(fmt::format("{}: section group {} is damaged", object.path(), section.name)); };
    if (section.contents.size() < word || section.contents.size() % word != 0) fail();
    if (section.info == 0 || section.info >= object.symbols().size()) fail();
    SectionGroup group;
    group.signature = object.symbols()[section.info].name;
    group.flags = static_cast<uint32_t>(object.number(section.contents.first(word)));
    for (size_t at = word; at < section.contents.size(); at += word) {
      const auto member = static_cast<uint32_t>(object.number(section.contents.subspan(at, word)));
      if (member == 0 || member >= object.sections().size()) fail();
      group.members.push_back(SectionId{member});
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

void check_groups(const Pair& pair, const Selection& selection, Diagnostics& diagnostics) {
  const auto orig_groups = section_groups(pair.orig), patched_groups = section_groups(pair.patched);
  if (orig_groups.empty() && patched_groups.empty()) return;
  const auto before = by_signature(pair.orig, orig_groups), after = by_signature(pair.patched, patched_groups);

  // The sections that are copied, and those of their twins.
  std::set<SectionId> copied, replaced;
  for (const Chunk& chunk : selection.chunks) {
    copied.insert(chunk.section);
    const SymbolId twin = chunk.symbol == no_symbol ? no_symbol : pair.twins.orig(chunk.symbol);
    if (twin != no_symbol) replaced.insert(pair.orig.symbol(twin).section);
  }
  std::set<std::string_view> concerned;
  auto add_concerned = [&](const std::vector<SectionGroup>& groups, const std::set<SectionId>& sections) {
    for (const SectionGroup& group : groups)
      for (SectionId member : group.members)
        if (sections.contains(member)) concerned.insert(group.signature);
  };
  add_concerned(orig_groups, replaced);
  add_concerned(patched_groups, copied);

  std::set<std::string_view> original_sections;
  for (const Section& section : pair.orig.sections()) original_sections.insert(section.name);
  for (std::string_view signature : concerned) {
    const auto was = before.find(signature), is = after.find(signature);
    auto refuse = [&](std::string message) {
      diagnostics.refuse("section-group", {.function = std::string{signature}}, std::move(message));
    };
    if (is == after.end()) {
      refuse(fmt::format("is a section group in the original object alone ({})", joined(was->second.members, ", ")));
    } else if (was == before.end()) {
      const auto& members = is->second.members;
      const bool existed = std::any_of(members.begin(), members.end(),
                                       [&](std::string_view name) { return original_sections.contains(name); });
      if (existed) refuse(fmt::format("is a section group in the patched object alone ({})", joined(members, ", ")));
    } else if (was->second.flags != is->second.flags) {
      refuse("is a COMDAT section group in one of the two objects and an ordinary one in the other");
    } else if (was->second.members != is->second.members) {
      refuse(fmt::format("is a section group of {} in the original object, of {} in the patched one",
                         joined(was->second.members, ", "), joined(is->second.members, ", ")));
    }
  }
}

}  // namespace kpatch
