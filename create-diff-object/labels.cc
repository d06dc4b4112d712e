// Comparing goes by symbols that say how long they are: the compiler gives each a type and a size. asm() at file scope need
// not:
//
//   .pushsection .rodata                     FASTOP2(sub):  .global em_sub
//   .global uretprobe_trampoline_entry                      em_sub:
//   uretprobe_trampoline_entry:                             .type subb_al_dl, @function
//       push %rax …                                         subb_al_dl: sub %dl, %al …
//   .popsection                                             .type subw_ax_dx, @function …
//
// (arch/x86/kernel/uprobes.c, arch/x86/kvm/emulate.c). A name like these covers what follows it, up to the next of its kind.
// Whoever refers to it means the kernel's own, so that another content would be left out without a word. What has a type
// and a twin there is compared by itself: that it is the same one is what counts. Numbered and .L labels are no names; what
// they cover is compared with the code that refers to it.

#include "create-diff-object/labels.h"

#include <fmt/format.h>

#include <algorithm>

#include "create-diff-object/fingerprint.h"

namespace kpatch {
namespace {

bool holds_labels(SectionKind kind) {
  switch (kind) {
    case SectionKind::text:
    case SectionKind::shared_text:
    case SectionKind::init:
    case SectionKind::data:
    case SectionKind::rodata:
    case SectionKind::out_of_line_code:
      return true;
    default:
      return false;
  }
}

class Labels {
 public:
  // original_of: the original of the pair that a symbol of the object belongs to, or no_symbol.
  Labels(const Object& object, std::function<SymbolId(SymbolId)> original_of)
      : object_(object), original_of_(std::move(original_of)) {}

  // A name that only its place has: no size, and not within something that has one.
  bool is_label(SymbolId id) const {
    const Symbol& s = object_.symbol(id);
    if (!names_a_place(s) || s.size != 0) return false;
    const Section& home = object_.section(s.section);
    if (!holds_labels(home.kind) || home.owner != no_symbol) return false;
    const SymbolId around = object_.symbol_at(s.section, s.value);
    return around == no_symbol || object_.symbol(around).size == 0 || object_.symbol(around).value == s.value;
  }

  uint64_t contents(SymbolId id) const {
    const Symbol& label = object_.symbol(id);
    const Section& home = object_.section(label.section);
    Fingerprint fingerprint;
    uint64_t at = label.value;
    const auto first =
        std::ranges::lower_bound(home.symbols, label.value, {}, [&](SymbolId s) { return object_.symbol(s).value; });
    for (auto it = first; it != home.symbols.end(); ++it) {
      const Symbol& s = object_.symbol(*it);
      if (s.value > label.value && is_label(*it)) return add(fingerprint, label.section, at, s.value);
      const SymbolId original = s.size == 0 ? no_symbol : original_of_(*it);
      if (original == no_symbol) continue;
      fingerprint.add(index(original));
      return add(fingerprint, label.section, at, s.value);
    }
    return add(fingerprint, label.section, at, home.size);
  }

 private:
  uint64_t add(Fingerprint& fingerprint, SectionId section, uint64_t begin, uint64_t end) const {
    fingerprint.add(end - begin);
    fingerprint.add_bytes(object_, section, {begin, end}, [&](const Relocation& r) {
      const Target target = object_.meaning(r);
      if (target.is_string) return fingerprint.add_text(target.string);
      if (target.symbol != no_symbol) fingerprint.add_text(symbol_stem(object_.symbol(target.symbol).name));
      // Where something lies in a section of several moves with everything before it.
      if (target.symbol != no_symbol)
        fingerprint.add(static_cast<uint64_t>(target.offset));
      else if (target.section != no_section)
        fingerprint.add_text(object_.section(target.section).name);
    });
    return fingerprint.value();
  }

  const Object& object_;
  std::function<SymbolId(SymbolId)> original_of_;
};

}  // namespace

std::vector<AccountEntry> account_labels(const Pair& pair, Diagnostics& diagnostics) {
  const Object &orig = pair.orig, &patched = pair.patched;
  const Labels before(orig, [&](SymbolId id) { return pair.twins.patched(id) == no_symbol ? no_symbol : id; });
  const Labels after(patched, [&](SymbolId id) { return pair.twins.orig(id); });
  std::vector<AccountEntry> entries;
  for (uint32_t i = 1; i < patched.symbols().size(); ++i) {
    const SymbolId id{i}, twin = pair.twins.orig(id);
    if (twin == no_symbol || !after.is_label(id) || !before.is_label(twin)) continue;
    if (before.contents(twin) == after.contents(id)) continue;
    const Symbol& label = patched.symbol(id);
    AccountEntry entry{"label", std::string{label.name}, "changed", Fate::refused, {}};
    if (patched.section(label.section).kind == SectionKind::init) {
      entry.fate = Fate::idle;
      entry.reason = "is gone when the kernel has booted";
    } else {
      diagnostics.refuse(
          "asm-label", {.function = entry.name},
          "what asm() puts under this name changes, and the kernel's code goes on using what it has",
          "leave it, put the new code under a name of its own, and let the functions that use it use that");
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace kpatch
