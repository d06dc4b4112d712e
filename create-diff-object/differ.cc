// The stages of create-diff-object, each a function from const input to a new value:
//
//   read → layout → correlate → compare → select → build output → write
//
// Findings of all stages are collected. A stage runs only when nothing before it was refused in a way that would make
// its result meaningless; a refused run writes nothing.

#include "create-diff-object/differ.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "arch/arch.h"
#include "create-diff-object/account.h"
#include "create-diff-object/build-output.h"
#include "create-diff-object/compare.h"
#include "create-diff-object/correlate.h"
#include "create-diff-object/data-layout.h"
#include "create-diff-object/debug-info.h"
#include "create-diff-object/groups.h"
#include "create-diff-object/handed-out.h"
#include "create-diff-object/layout.h"
#include "create-diff-object/lints.h"
#include "create-diff-object/listing.h"
#include "create-diff-object/object.h"
#include "create-diff-object/places.h"
#include "create-diff-object/resolve.h"
#include "create-diff-object/select.h"
#include "create-diff-object/source-lines.h"
#include "elf/elf.h"
#include "lookup/lookup.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

void check_headers(const Object& orig, const Object& patched) {
  if (&orig.arch() != &patched.arch() || orig.big_endian() != patched.big_endian())
    throw Error(fmt::format("{} is an object for {}, {} one for {}", orig.path(), orig.arch().elf.name, patched.path(),
                            patched.arch().elf.name));
  if (orig.flags() != patched.flags())
    throw Error(fmt::format("{} and {} have different ELF flags", orig.path(), patched.path()));
}

// Functions under the kernel's names, with the first difference of each.
std::vector<FunctionReport> functions(const Pair& pair, const Comparison& comparison, const ColdParts& orig_parts,
                                      const ColdParts& patched_parts, const std::vector<SymbolId>& ids) {
  std::vector<FunctionReport> list;
  for (SymbolId id : ids) {
    const SymbolId twin = pair.twins.orig(id);
    const Symbol& named = twin == no_symbol ? pair.patched.symbol(id) : pair.orig.symbol(twin);
    list.push_back({std::string{named.name}, comparison.reason(id), {}});
    if (twin != no_symbol) list.back().orig_size = code_size(pair.orig, orig_parts, twin);
    list.back().patched_size = code_size(pair.patched, patched_parts, id);
  }
  return list;
}

CodeReport code_report(const Object& object, SymbolId id, const CodeRange& code, const SourceLines& lines) {
  const Symbol& s = object.symbol(id);
  CodeReport report;
  report.offset = code.begin - s.value;
  for (std::byte b : object.section(s.section).contents.subspan(code.begin, code.end - code.begin))
    report.bytes += fmt::format("{}{:02x}", report.bytes.empty() ? "" : " ", std::to_integer<unsigned>(b));
  if (auto place = lines.at(s.section, code.begin)) {
    report.file = std::move(place->file);
    report.line = place->line;
    report.inlined = std::move(place->inlined);
  }
  return report;
}

// The first differing instruction of each changed function, with its source on both sides.
void add_differences(const Pair& pair, const Comparison& comparison, const Selection& selection, DifferResult& result) {
  if (selection.functions.empty()) return;
  const SourceLines orig(pair.orig), patched(pair.patched);
  for (size_t i = 0; i < selection.functions.size(); ++i) {
    const SymbolId id = selection.functions[i];
    const auto found = comparison.difference.find(id);
    if (found == comparison.difference.end()) continue;
    result.changed[i].difference = {code_report(pair.orig, pair.twins.orig(id), found->second.orig, orig),
                                    code_report(pair.patched, id, found->second.patched, patched)};
  }
}

// Global functions that the patched object leaves to others, or to nobody.
std::vector<std::string> vanished_functions(const Object& orig, const Object& patched) {
  const auto defined = [](const Object& object) {
    std::set<std::string> names;
    for (const Symbol& s : object.symbols())
      if (s.global() && s.function() && s.section != no_section) names.emplace(s.name);
    return names;
  };
  const std::set<std::string> before = defined(orig), after = defined(patched);
  std::vector<std::string> vanished;
  std::ranges::set_difference(before, after, std::back_inserter(vanished));
  return vanished;
}

void describe(const Pair& pair, const Comparison& comparison, const Selection& selection, DifferResult& result) {
  const ColdParts orig_parts = cold_parts(pair.orig), patched_parts = cold_parts(pair.patched);
  result.changed = functions(pair, comparison, orig_parts, patched_parts, selection.functions);
  result.added = functions(pair, comparison, orig_parts, patched_parts, selection.added);
  result.lines_only = functions(pair, comparison, orig_parts, patched_parts, selection.lines_only);
  std::unordered_multimap<std::string_view, FunctionReport*> added;
  for (FunctionReport& function : result.added) added.emplace(function.name, &function);
  for (const Chunk& chunk : selection.chunks) {
    const bool named = chunk.symbol != no_symbol;
    const std::string_view name =
        named ? pair.patched.symbol(chunk.symbol).name : pair.patched.section(chunk.section).name;
    if (named && pair.patched.symbol(chunk.symbol).function() && !is_cold_part(name) &&
        !comparison.through_callers.contains(chunk.symbol)) {
      for (auto [at, end] = added.equal_range(name); at != end; ++at) at->second->reason = chunk.reason;
      continue;
    }
    result.included.push_back({std::string{name}, chunk.reason, {}});
  }
  auto key = [](const FunctionReport& f) { return std::pair{f.name, f.reason}; };
  auto& list = result.included;
  std::sort(list.begin(), list.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  list.erase(std::unique(list.begin(), list.end(), [&](const auto& a, const auto& b) { return key(a) == key(b); }),
             list.end());
  for (const Callback& callback : selection.callbacks) result.callbacks.push_back(callback.kind);
}

// Those that a name that each side has once does not tell. Constants are left out: equal contents are all there is to
// them.
std::vector<TwinReport> twins_by_evidence(const Pair& pair) {
  std::vector<TwinReport> list;
  for (uint32_t i = 1; i < pair.patched.symbols().size(); ++i) {
    const SymbolId id{i};
    const Symbol& s = pair.patched.symbol(id);
    const Evidence evidence = pair.twins.evidence[i];
    if (evidence == Evidence::none) continue;
    const Symbol& twin = pair.orig.symbol(pair.twins.orig(id));
    if (evidence == Evidence::name && s.name == twin.name) continue;
    if (evidence == Evidence::content && !s.function()) continue;
    list.push_back({std::string{twin.name}, std::string{s.name}, std::string{text_of(evidence)}});
  }
  std::sort(list.begin(), list.end());
  return list;
}

}  // namespace

DifferResult run_differ(const DifferInput& input) {
  const Object patched = Object::read(input.patched);
  const Object orig = input.orig == "/dev/null" ? Object::empty(patched) : Object::read(input.orig);
  check_headers(orig, patched);
  const Binary parent = Binary::open(input.parent_symtab);
  const Symvers symvers = input.symvers == "/dev/null" ? Symvers{} : Symvers::read(input.symvers);

  Diagnostics diagnostics;
  DifferResult result;
  const StructSizes sizes = [&](std::string_view name) -> std::optional<uint64_t> {
    const auto given = input.struct_sizes.find(std::string{name});
    return given != input.struct_sizes.end() ? std::optional{given->second} : parent.struct_size(name);
  };
  const Layout orig_layout(orig, sizes, diagnostics);
  const Layout patched_layout(patched, sizes, diagnostics);
  const Correlation twins = correlate(orig, patched);
  const Pair pair{orig, patched, orig_layout, patched_layout, twins};
  const Comparison comparison = compare(pair, diagnostics);
  const Selection selection = select(pair, comparison, {input.needed, input.unused, input.acknowledged}, diagnostics);
  check_groups(pair, selection, diagnostics);
  warn_of_handed_out(pair, selection, parent, diagnostics);
  lint(pair, selection, parent, diagnostics);
  std::vector<ExportChange> export_changes;
  if (!input.export_changes.empty()) export_changes = read_export_changes(read_file(input.export_changes));
  result.prototypes = check_data_layout(pair, selection, export_changes, input.acknowledged, diagnostics);
  result.vanished = vanished_functions(orig, patched);
  for (AccountEntry& entry : account(pair, comparison, selection, input.acknowledged, diagnostics))
    result.account.push_back({std::move(entry.what), std::move(entry.name), std::move(entry.change),
                              std::string{text_of(entry.fate)}, std::move(entry.reason)});
  describe(pair, comparison, selection, result);
  if (input.explain) {
    add_differences(pair, comparison, selection, result);
    result.twins = twins_by_evidence(pair);
  }
  if (input.listing) result.listings = list_functions(pair, selection);

  if (!selection.nothing_to_do()) {
    // What is refused already doesn't keep the rest from being said; but what is left out for that isn't missing.
    const bool refused = diagnostics.refused();
    Diagnostics more;
    Resolver resolver(parent, input.parent_name, symvers, orig, input.made_global, more);
    OutputReport report;
    OutputObject output = build_output(pair, selection, resolver, parent, input.parent_needs, more, report);
    for (const Finding& finding : more.all())
      if (!refused || finding.rule != "missing") diagnostics.add(finding);
    parent.require_unchanged();
    if (!diagnostics.refused()) {
      write_elf(output, input.output);
      if (!input.debug_output.empty()) {
        add_debug_info(patched, selection, report.places, output);
        write_elf(output, input.debug_output);
      }
    }
    if (!refused) {
      result.references = std::move(report.references);
      result.globals = std::move(report.globals);
    }
  }
  result.findings = diagnostics.all();
  add_lines(result.findings, patched, orig);
  result.findings = sorted(std::move(result.findings));
  result.exit_code = diagnostics.refused() ? exit_unpatchable : selection.nothing_to_do() ? exit_no_change : exit_ok;
  return result;
}

}  // namespace kpatch
