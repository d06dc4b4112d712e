// The delivery check's own state; for delivery*.cc alone.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "klp/delivery-image.h"
#include "klp/delivery-names.h"
#include "klp/delivery.h"

namespace kpatch {

using AtomKey = std::tuple<uint32_t, uint32_t, uint64_t>;  // object, section, offset

// What a range of the module is.
struct Covered {
  uint64_t end = 0;
  uint32_t object = UINT32_MAX;  // UINT32_MAX: of the template, or of kbuild
  Atom atom;                     // of the object
};

class DeliveryCheck {
 public:
  DeliveryCheck(const AuditInput& input, const Arch& arch, KlpElf module, std::span<const PatchedObject> objects,
                MadeOf made_of);
  std::vector<Finding> run();

 private:
  static constexpr uint32_t nobodys = UINT32_MAX;

  // A reference to an atom that is in the patched object.
  struct Use {
    KlpPlace place;  // of the reference, in the module
    uint32_t object = 0;
    Atom atom;
    bool kernels = false;  // refers to the kernel's, not to the module's
    bool pointer = false;  // is the address of its start, and not a call
  };

  // --- delivery.cc ---
  void find(KlpPlace place, std::string message);
  void follow();
  void compare(uint32_t object, const Atom& atom, KlpPlace place);
  void compare_symbols(uint32_t object, const Atom& atom, KlpPlace place);
  void compare_symbol(uint32_t object, uint32_t symbol, KlpPlace place);
  void compare_entries(uint32_t object, const Atom& atom, KlpPlace place);
  void link(KlpPlace from, uint32_t object, const Atom& atom, KlpPlace place);
  void link_mergeable(KlpPlace from, uint32_t object, const Atom& atom, KlpPlace place);
  bool cover(KlpPlace place, uint64_t end, uint32_t object, const Atom& atom);
  const Covered* covered_at(KlpPlace place) const;
  // What objtool may have rewritten in an atom, as ranges of the object's section; dropped: places of relocations.
  std::vector<CodeRange> rewritten(uint32_t object, const Atom& atom, KlpPlace place);
  bool lists(std::span<const std::string_view> tables, KlpPlace place) const;

  // --- delivery-references.cc ---
  void compare_references(uint32_t object, const Atom& atom, KlpPlace place, const std::vector<CodeRange>& rewritten);
  void compare_reference(uint32_t object, const Atom& atom, const ImageRelocation& theirs, KlpPlace at,
                         const ImageRelocation& ours);
  void compare_defined(uint32_t object, const Atom& home, const ImageRelocation& theirs, KlpPlace at,
                       const ImageRelocation& ours);
  void compare_undefined(uint32_t object, const Atom& home, const ImageRelocation& theirs, KlpPlace at,
                         const ImageRelocation& ours);
  // Of extracted source: a function that another of its files has is called there, where a diff object calls the kernel's,
  // which leads there.
  bool calls_new_one(uint32_t object, const Atom& home, const ImageRelocation& theirs, KlpPlace at,
                     const ImageRelocation& ours, const KernelSymbol& known);
  // Objects, and their symbols, that define a global of that name.
  std::vector<std::pair<uint32_t, uint32_t>> globals(std::string_view name) const;
  // Takes the module's reference for one to that global of an object; what it lies in.
  Atom link_global(uint32_t object, uint32_t symbol, const ImageRelocation& theirs, KlpPlace at,
                   const ImageRelocation& ours);
  bool is_off_key(const ImageRelocation& theirs, std::string_view name, KlpPlace at, const ImageRelocation& ours);
  std::optional<KernelSymbol> kernels(uint32_t symbol);
  std::string describe(const ImageRelocation& ours);
  void expect_kernels(KlpPlace at, const std::vector<KernelSymbol>& expected, std::string_view name, int64_t addend,
                      const ImageRelocation& ours);
  void check_uses();
  bool leads_nowhere(uint32_t object, const Atom& entry) const;

  // --- delivery-roots.cc ---
  void add_functions();
  void add_function(uint32_t section, uint64_t at);
  void add_callbacks();
  void add_symbols();
  void add_template();
  void find_own_files();
  bool of_one_meaning(uint32_t a, uint32_t b) const;  // types of relocations
  bool of_template(uint32_t symbol) const;
  std::optional<std::string_view> string_of(uint32_t section, uint64_t at) const;
  void check_replaced();
  void check_nothing_else();
  uint64_t unused_constant(uint32_t section, uint64_t at);
  void check_rest(uint32_t section);
  void check_listed();
  std::vector<KlpPlace> listed(std::string_view table, uint64_t entry_size);

  const AuditInput& input_;
  const Arch& arch_;
  Image module_;
  std::deque<Image> objects_;
  std::vector<std::string> owners_;
  KernelNames names_;
  std::set<std::string, std::less<>> own_files_;  // FILE symbols behind which the patch's own stands
  bool from_source_ = false;                      // what is replaced may be global, as it is in C
  std::vector<Finding> findings_;

  std::map<AtomKey, KlpPlace> links_;
  std::vector<std::map<uint64_t, Covered>> covered_;     // by section of the module, by offset
  std::map<uint32_t, std::set<std::string>> constants_;  // of the objects, by section of the module
  std::deque<std::tuple<uint32_t, Atom, KlpPlace>> work_;
  std::vector<Use> uses_;
  std::map<KernelSymbol, AtomKey> taken_;      // which of an object's symbols the kernel's was taken for
  std::map<AtomKey, KernelSymbol> taken_for_;  // the reverse
  std::map<AtomKey, KernelSymbol> replaced_;
};

}  // namespace kpatch
