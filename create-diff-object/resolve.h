// What a reference to something outside the diff object means in the running kernel.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "create-diff-object/object.h"
#include "lookup/lookup.h"
#include "support/finding.h"

namespace kpatch {

struct Reference {
  enum class Kind : uint8_t {
    plain,  // an ordinary undefined symbol: an export of vmlinux, or new in another object of the patch
    klp,    // a klp relocation
  };
  Kind kind = Kind::plain;
  std::string name;                      // in the kernel
  std::string owner;                     // klp: "vmlinux" or the module's name
  unsigned sympos = 0;                   // klp: old_sympos
  bool real_name = false;                // klp: the placeholder keeps the name, because objtool reads it
  bool global_placeholder = false;       // klp: … and is GLOBAL, not WEAK
  bool unknown = false;                  // found nowhere: must be defined by another object of the patch
  bool of_module = false;                // every module has its own: __this_module
  std::string name_space;                // of the export, when it has one
  const BinarySymbol* symbol = nullptr;  // in the parent, when it was found there
};

class Resolver {
 public:
  // parent_name: "vmlinux" or a module's name; orig: the object whose locals are looked for; made_global: see
  // DifferInput.
  Resolver(const Binary& parent, std::string parent_name, const Symvers& symvers, const Object& orig,
           const std::map<std::string, std::string>& made_global, Diagnostics& diagnostics);

  // A symbol that the original object defines. Refuses (rule "ambiguous" or "missing") and gives nothing when it
  // can't be told which symbol of the parent it is.
  std::optional<Reference> defined(SymbolId orig);
  // A symbol that is undefined in the patched object.
  std::optional<Reference> undefined(std::string_view name);
  // By name, wherever it is (static call keys).
  std::optional<Reference> named(std::string_view name);

  const std::string& parent_name() const { return parent_name_; }

 private:
  std::optional<uint32_t> find_local(SymbolId orig);
  void refuse_missing(SymbolId orig);
  std::optional<Reference> was_static(std::string_view name);
  std::optional<uint32_t> find_global(std::string_view name) const;
  const std::vector<uint32_t>& groups_of(uint32_t file);
  std::vector<std::string_view> local_names(uint32_t file) const;
  std::vector<std::string_view> group_names(const FileGroup& group) const;
  Reference klp(uint32_t symbol);
  void check_time(uint32_t symbol);
  std::optional<Reference> exported(std::string_view name) const;

  const Binary& parent_;
  std::string parent_name_;
  const Symvers& symvers_;
  const Object& orig_;
  const std::map<std::string, std::string>& made_global_;
  Diagnostics& diagnostics_;
  std::unordered_map<uint32_t, std::vector<uint32_t>> groups_;  // by FILE number of the original object
  std::unordered_map<std::string_view, SymbolId> orig_names_;
  std::set<uint32_t> checked_;  // of the parent's symbols, by check_time()
};

}  // namespace kpatch
