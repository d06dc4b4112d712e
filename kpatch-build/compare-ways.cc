// Two modules of one patch
//
//     functions     what each has in its table of replaced functions; source-way.cc told of those that only one has
//     code          bytes, and what each relocation is of
//     bound to      .klp.sym.OWNER.NAME,SYMPOS, in the relocations that the kernel resolves; exports that are left to it
//
// A symbol that only one of them is bound to is explained by what the other has in its place: a copy of its text, an export
// under the same name, or nothing, where the function that uses it is in one of the modules alone.
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "klp/klp.h"
#include "kpatch-build/source-way.h"
#include "lookup/lookup.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;
using std::string_view;

struct BoundTo {
  std::set<string> users;  // functions and sections of the module
};

// What a module uses of the kernel, and what it has itself.
class ModuleView {
 public:
  explicit ModuleView(const fs::path& file) : binary_(Binary::open(file)), content_(content_of(KlpElf::read(file))) {
    for (const BinarySymbol& symbol : binary_.symbols()) {
      if (symbol.name.empty()) continue;
      if (symbol.defined())
        own_.emplace(symbol.name);
      else if (!symbol.name.starts_with(prefix))
        exports_.emplace(symbol.name);
    }
    for (uint32_t section = 0; section < binary_.sections().size(); ++section)
      for (const BinaryRelocation& relocation : binary_.relocations(section)) {
        const string_view name = binary_.symbols()[relocation.symbol].name;
        if (!name.starts_with(prefix)) continue;
        bound_[string(name.substr(prefix.size()))].users.insert(user_at(section, relocation.offset));
      }
  }

  const std::map<string, BoundTo>& bound() const { return bound_; }
  bool has(const string& name) const { return own_.contains(name); }
  bool exports(const string& name) const { return exports_.contains(name); }
  // By object, name and rank: the digest of the code.
  std::map<string, string> functions() const {
    std::map<string, string> codes;
    for (const ContentFunction& f : content_.functions) codes[fmt::format("{} of {}", f.name, f.object)] = f.code;
    return codes;
  }

 private:
  static constexpr string_view prefix = ".klp.sym.";

  string user_at(uint32_t section, uint64_t offset) const {
    for (const BinarySymbol& symbol : binary_.symbols())
      if (symbol.type == SymbolType::function && symbol.section == section && offset >= symbol.value &&
          offset < symbol.value + symbol.size)
        return string(symbol.name);
    return string(binary_.section_name(section));
  }

  Binary binary_;
  LivepatchContent content_;
  std::set<string> own_, exports_;
  std::map<string, BoundTo> bound_;
};

// "vmlinux.foo,2" -> "foo".
string plain_name(const string& bound) {
  const size_t dot = bound.find('.');
  return bound.substr(dot + 1, bound.rfind(',') - dot - 1);
}

// C's name of it: "count.3" -> "count".
string c_name(const string& name) { return name.substr(0, name.find('.')); }

// Why `with` is bound to a symbol, and `without` isn't; empty: it can't be told.
string why(const string& bound, const BoundTo& use, const ModuleView& without, const SourceWay& way) {
  const string name = plain_name(bound);
  if (without.exports(name)) return "the other has it as an export";
  for (const ExtractedFile& file : way.files)
    if (std::ranges::binary_search(file.copied, c_name(name))) return "its text was copied to the source";
  if (without.has(name) || without.has(c_name(name))) return "the other has a copy of it";
  const bool alone = std::ranges::none_of(
      use.users, [&](const string& user) { return without.has(user) || without.has(c_name(user)); });
  if (alone) return fmt::format("{} uses it, which the other hasn't", *use.users.begin());
  return {};
}

void compare_bound(const ModuleView& with, const ModuleView& without, const char* which, const SourceWay& way,
                   std::vector<Finding>& findings, size_t& differences) {
  for (const auto& [bound, use] : with.bound()) {
    if (without.bound().contains(bound)) continue;
    ++differences;
    const string reason = why(bound, use, without, way);
    findings.push_back({"ways",
                        reason.empty() ? Severity::warning : Severity::notice,
                        {},
                        reason.empty()
                            ? fmt::format("{} is bound to {} alone, in {}: the compiler made other code there", bound,
                                          which, *use.users.begin())
                            : fmt::format("{} is bound to {} alone: {}", bound, which, reason),
                        {}});
  }
}

}  // namespace

std::vector<Finding> compare_ways(const fs::path& by_objects, const fs::path& by_source, const SourceWay& way) {
  const ModuleView objects(by_objects), source(by_source);
  std::vector<Finding> findings;
  size_t both = 0, same_code = 0, differences = 0;
  const std::map<string, string> of_source = source.functions();
  for (const auto& [name, code] : objects.functions()) {
    const auto other = of_source.find(name);
    if (other == of_source.end()) continue;
    ++both;
    same_code += other->second == code ? 1 : 0;
    if (other->second != code)
      findings.push_back(
          {"ways",
           Severity::notice,
           {},
           fmt::format("{} has other code from source: another choice of what is inlined, or other names "
                       "of what it refers to",
                       name),
           {}});
  }
  compare_bound(objects, source, "the diff objects", way, findings, differences);
  compare_bound(source, objects, "the source", way, findings, differences);
  findings.push_back(
      {"ways",
       Severity::notice,
       {},
       fmt::format(
           "both ways: {} function{} replaced by both, {} with the same code; {} symbol{} bound by both, {} by one "
           "alone",
           both, both == 1 ? "" : "s", same_code, objects.bound().size(), objects.bound().size() == 1 ? "" : "s",
           differences),
       {}});
  return findings;
}

}  // namespace kpatch
