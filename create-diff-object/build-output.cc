// Building the diff object. A relocation of a copied chunk refers to one of three things:
//
//   what was copied too        call .text.helper_new+0xc       →  the copy: section symbols and symbols stay what they
//                                                                 were, so that objtool sees what the compiler wrote
//   an export of vmlinux       call _printk                    →  an ordinary undefined symbol
//   the rest of the kernel     mov  .bss.nr_files(%rip)        →  an undefined placeholder and an entry of the side
//                                                                 table, from which post-link makes a klp relocation
//
// A pointer to a function that the patch replaces refers to the original, so that pointers compare equal; a call goes
// to the copy.
//
// The kernel reads jump labels and static calls of a module before it applies relocations that wait for another module.
// What a module's own code does with them, code that replaces it must do otherwise:
//
//   trace_smb3_enter(…)        the branch gets a key of the patch, which is off for good: nothing is traced, nothing
//                              else changes, and the run says so
//   static_call(kvm_x86_…)()   becomes an ordinary call of the trampoline, a jump that the kernel keeps up to date for
//                              those who can't be patched in place. objtool must not take it for a static call, so that
//                              its placeholder has another name

#include "create-diff-object/build-output.h"

#include <elf.h>
#include <fmt/format.h>
#include <gelf.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "support/error.h"

#include "create-diff-object/places.h"

namespace kpatch {
namespace {

constexpr unsigned char info(unsigned binding, unsigned type) {
  return static_cast<unsigned char>(binding << 4 | type);
}

unsigned elf_type(SymbolType type) {
  switch (type) {
    case SymbolType::object:
      return STT_OBJECT;
    case SymbolType::function:
      return STT_FUNC;
    case SymbolType::tls:
      return STT_TLS;
    case SymbolType::ifunc:
      return STT_GNU_IFUNC;
    default:
      return STT_NOTYPE;
  }
}

class Builder {
 public:
  Builder(const Pair& pair, const Selection& selection, Resolver& resolver, const Binary& parent,
          const std::set<std::string>& parent_needs, Diagnostics& diagnostics)
      : pair_(pair),
        patched_(pair.patched),
        selection_(selection),
        resolver_(resolver),
        parent_(parent),
        diagnostics_(diagnostics),
        replaced_(selection.functions.begin(), selection.functions.end()),
        parent_needs_(parent_needs) {}

  OutputObject run() {
    out_.machine = patched_.arch().elf.machine;
    out_.big_endian = patched_.big_endian();
    out_.flags = patched_.flags();
    out_.add_symbol({.name = "livepatch", .info = info(STB_LOCAL, STT_FILE)});
    for (const Chunk& chunk : selection_.chunks) place(chunk);
    link_tables();
    for (size_t i = 0; i < selection_.chunks.size(); ++i) add_symbols(i);
    for (size_t i = 0; i < selection_.chunks.size(); ++i) add_relocations(i);
    add_static_call_keys();
    add_functions();
    for (const Callback& callback : selection_.callbacks) add_callback(callback);
    add_object();
    add_side_table();
    add_namespaces();
    // Last, so that everything has been added to it.
    if (strings_ != none) out_.sections[strings_].size = out_.sections[strings_].contents.size();
    return std::move(out_);
  }

  const std::set<ReferenceReport>& references() const { return references_; }
  const std::set<std::string>& globals() const { return globals_; }
  const std::vector<OutputPlace>& places() const { return places_; }

 private:
  static constexpr uint32_t none = UINT32_MAX;

  std::string output_name(const Chunk& chunk) const {
    const Section& home = patched_.section(chunk.section);
    // Code taken out of a shared section gets one of its own.
    if (home.kind == SectionKind::shared_text && chunk.symbol != no_symbol)
      return fmt::format(".text.{}", final_name(chunk.symbol));
    // The only one that the module loader looks for.
    if (is_per_cpu(home.name)) return ".data..percpu";
    return std::string{home.name};
  }

  // The code that a table's entry tells of, where the table is bound to it (SHF_LINK_ORDER); else nothing.
  const Chunk* linked_code(const Chunk& entry) const {
    const Section& home = patched_.section(entry.section);
    if ((home.flags & SHF_LINK_ORDER) == 0) return nullptr;
    const auto relocations = patched_.relocations(entry.section, entry.begin, entry.end);
    if (relocations.empty()) return nullptr;
    const Target target = patched_.target(relocations.front());
    if (target.section == no_section) return nullptr;
    const uint64_t base = target.symbol == no_symbol ? 0 : patched_.symbol(target.symbol).value;
    return selection_.chunk_at(target.section, base + static_cast<uint64_t>(target.offset));
  }

  void link_tables() {
    for (size_t i = 0; i < selection_.chunks.size(); ++i) {
      const Chunk* code = linked_code(selection_.chunks[i]);
      if (code == nullptr) continue;
      OutputSection& table = out_.sections[places_[i].section];
      table.flags |= SHF_LINK_ORDER;
      table.linked_to = places_[number(code)].section;
    }
  }

  void place(const Chunk& chunk) {
    const Section& home = patched_.section(chunk.section);
    const std::string name = output_name(chunk);
    const Chunk* code = linked_code(chunk);
    auto [it, fresh] = section_of_.try_emplace({index(chunk.section), name + (code ? output_name(*code) : "")}, none);
    if (fresh) {
      constexpr uint64_t dropped_flags = SHF_GROUP | SHF_LINK_ORDER | SHF_INFO_LINK;
      it->second = out_.add_section({.name = name,
                                     .type = home.type,
                                     .flags = home.flags & ~dropped_flags,
                                     .entry_size = home.entry_size,
                                     .alignment = home.alignment});
    }
    OutputSection& section = out_.sections[it->second];
    uint64_t offset = section.size;
    // Table entries and strings of bytes stand one behind the other; everything else keeps its alignment.
    const bool packed = home.kind == SectionKind::table || home.kind == SectionKind::objtool_notes ||
                        (home.kind == SectionKind::strings && home.entry_size == 1);
    if (!packed) offset += (chunk.begin - offset) & (home.alignment - 1);
    section.size = offset + (chunk.end - chunk.begin);
    if (home.type != SHT_NOBITS) {
      section.contents.resize(section.size);
      if (!home.contents.empty())
        std::copy(home.contents.begin() + static_cast<std::ptrdiff_t>(chunk.begin),
                  home.contents.begin() + static_cast<std::ptrdiff_t>(chunk.end),
                  section.contents.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    places_.push_back({it->second, offset});
    const Arch& arch = patched_.arch();
    if (chunk.symbol == no_symbol || !patched_.symbol(chunk.symbol).function() || arch.code.trap_behind == nullptr)
      return;
    const auto trap = arch.code.trap_behind(std::span{section.contents}.subspan(offset));
    section.contents.insert(section.contents.end(), trap.begin(), trap.end());
    section.size = section.contents.size();
  }

  // Correlated symbols take the original's name, so that the running kernel's is found.
  std::string_view final_name(SymbolId id) const {
    const SymbolId twin = pair_.twins.orig(id);
    return twin == no_symbol ? patched_.symbol(id).name : pair_.orig.symbol(twin).name;
  }

  void add_symbols(size_t i) {
    const Chunk& chunk = selection_.chunks[i];
    for (SymbolId id : patched_.section(chunk.section).symbols) {
      const Symbol& s = patched_.symbol(id);
      if (s.value < chunk.begin || s.value > chunk.end || (s.value == chunk.end && s.value != chunk.begin)) continue;
      if (s.name.empty() || (is_local_label(s.name) && !is_special_static(s.name))) continue;
      if (s.size > chunk.end - s.value)
        diagnostics_.refuse("shared-section", place_of(patched_, id),
                            fmt::format("overlaps with {} in section {}, and can't be taken apart from it",
                                        where(chunk), patched_.section(chunk.section).name));
      // A patched function becomes local: the kernel's own is the global one. What is new stays global.
      const bool existed = pair_.twins.orig(id) != no_symbol;
      const unsigned binding = !s.global() || existed             ? STB_LOCAL
                               : s.binding == SymbolBinding::weak ? STB_WEAK
                                                                  : STB_GLOBAL;
      if (binding != STB_LOCAL) {
        check_new_global(id);
        globals_.emplace(s.name);
      }
      const uint32_t symbol = out_.add_symbol({.name = std::string{final_name(id)},
                                               .section = places_[i].section,
                                               .value = s.value - chunk.begin + places_[i].offset,
                                               .size = s.size,
                                               .info = info(binding, elf_type(s.type)),
                                               .other = s.other});
      symbols_[index(id)] = symbol;
    }
  }

  void check_new_global(SymbolId id) {
    for (uint32_t namesake : parent_.named(patched_.symbol(id).name)) {
      const BinarySymbol& known = parent_.symbols()[namesake];
      if (known.binding == SymbolBinding::local) continue;
      diagnostics_.refuse(
          "moved", place_of(patched_, id),
          fmt::format("is new in this object, but {} defines it already", resolver_.parent_name()),
          "give the new one a name of its own, and let patched code use that; one that only moves stays "
          "in its file");
      return;
    }
  }

  uint32_t section_symbol(uint32_t section) {
    auto [it, fresh] = section_symbols_.try_emplace(section, none);
    if (fresh) it->second = out_.add_symbol({.section = section, .info = info(STB_LOCAL, STT_SECTION)});
    return it->second;
  }

  size_t number(const Chunk* chunk) const { return static_cast<size_t>(chunk - selection_.chunks.data()); }

  void add_relocations(size_t i) {
    const Chunk& chunk = selection_.chunks[i];
    for (const Relocation& r : patched_.relocations(chunk.section, chunk.begin, chunk.end)) {
      const uint64_t at = r.offset - chunk.begin + places_[i].offset;
      OutputRelocation out{.offset = at, .type = r.type, .symbol = 0, .addend = r.addend};
      if (!refer(chunk, r, places_[i].section, out)) continue;
      out_.sections[places_[i].section].relocations.push_back(out);
    }
  }

  std::string where(const Chunk& chunk) const { return chunk.name(patched_); }

  // Fills symbol and addend; false when that was refused.
  bool refer(const Chunk& chunk, const Relocation& r, uint32_t out_section, OutputRelocation& out) {
    if (pair_.patched_layout.leads_nowhere(chunk.section, r.offset)) {
      // To any place that is there: the code that the entry is about.
      const Relocation& code = patched_.relocations(chunk.section, chunk.begin, chunk.end).front();
      out.addend = code.addend;
      return refer(chunk, code, out_section, out);
    }
    const Symbol& s = patched_.symbol(r.symbol);
    if (r.symbol == no_symbol) {
      out.symbol = null_symbol;
      return true;
    }
    const Target target = patched_.target(r);
    if (target.section == no_section) {
      const SymbolId twin = pair_.twins.orig(r.symbol);
      const bool was_defined = twin != no_symbol && pair_.orig.symbol(twin).section != no_section;
      return outside(chunk, r, was_defined ? resolver_.defined(twin) : resolver_.undefined(s.name), out_section, out);
    }
    uint64_t at = static_cast<uint64_t>(std::max<int64_t>(target.offset, 0));
    if (target.symbol != no_symbol) at = patched_.symbol(target.symbol).value;
    const Chunk* copy = selection_.chunk_at(target.section, at);
    if (copy != nullptr && (!points_to_replaced(chunk, r, target) || copy_stands_in(chunk, r, target.symbol))) {
      inside(r, *copy, out);
      return true;
    }
    return kernel_symbol(chunk, r, target, out_section, out);
  }

  // A pointer to a function that existed before means the kernel's own; its replacement is found through ftrace.
  bool points_to_replaced(const Chunk& chunk, const Relocation& r, const Target& target) const {
    if (target.symbol == no_symbol || target.offset != 0 || !replaced_.contains(target.symbol)) return false;
    const Section& home = patched_.section(chunk.section);
    switch (home.kind) {
      case SectionKind::table:
      case SectionKind::objtool_notes:
      case SectionKind::out_of_line_code:
        return false;
      default:
        return patched_.arch().code.use_of(home.code(), r) == Use::address;
    }
  }

  // A pointer to the original is of no use when its landing pad is not there (x86, IBT: ENDBR): the copy has one.
  bool copy_stands_in(const Chunk& chunk, const Relocation& r, SymbolId function) {
    if (patched_.arch().code.landing_pad == nullptr || !uses_landing_pads()) return false;
    const auto reference = resolver_.defined(pair_.twins.orig(function));
    if (!reference || reference->symbol == nullptr) return false;
    if (reference->symbol->has_landing_pad && !reference->symbol->landing_pad_sealed) return false;
    diagnostics_.warn(
        patched_.arch().code.landing_pad->sealed_rule, chunk.place(patched_, r.offset),
        fmt::format("takes the address of {}, whose {} is gone in the running kernel: it gets that of the "
                    "new copy, and the two compare unequal",
                    reference->name, patched_.arch().code.landing_pad->name));
    return true;
  }

  void inside(const Relocation& r, const Chunk& copy, OutputRelocation& out) {
    const Symbol& s = patched_.symbol(r.symbol);
    const OutputPlace& to = places_[number(&copy)];
    if (const auto known = symbols_.find(index(r.symbol)); known != symbols_.end()) {
      out.symbol = known->second;
      return;
    }
    out.symbol = section_symbol(to.section);
    out.addend += static_cast<int64_t>(s.value + to.offset) - static_cast<int64_t>(copy.begin);
  }

  bool kernel_symbol(const Chunk& chunk, const Relocation& r, const Target& target, uint32_t out_section,
                     OutputRelocation& out) {
    if (target.symbol == no_symbol) {
      diagnostics_.refuse("unnamed-data", chunk.place(patched_, r.offset),
                          fmt::format("refers to {}+{:#x}, which stays in the kernel and has no name there",
                                      patched_.section(target.section).name, target.offset));
      return false;
    }
    const Symbol& named = patched_.symbol(target.symbol);
    const SymbolId twin = pair_.twins.orig(target.symbol);
    if (twin == no_symbol) {
      diagnostics_.refuse("missing", chunk.place(patched_, r.offset),
                          fmt::format("refers to {}, which is neither in the kernel nor in the patch", named.name));
      return false;
    }
    if (named.function() && target.offset != 0) {
      diagnostics_.refuse("reference", chunk.place(patched_, r.offset),
                          fmt::format("refers to the middle of {}, which stays in the kernel", named.name));
      return false;
    }
    out.addend += static_cast<int64_t>(patched_.symbol(r.symbol).value) - static_cast<int64_t>(named.value);
    const bool was_defined = pair_.orig.symbol(twin).section != no_section;
    return outside(chunk, r, was_defined ? resolver_.defined(twin) : resolver_.undefined(named.name), out_section, out);
  }

  bool outside(const Chunk& chunk, const Relocation& r, std::optional<Reference> reference, uint32_t out_section,
               OutputRelocation& out) {
    if (!reference) return false;  // refused, and said so
    check_landing_pad(chunk, r, *reference);
    if (!check_relocation(chunk, r, *reference)) return false;
    if (is_module_tracepoint(chunk, *reference)) {
      turn_off(chunk, r, *reference, out);
      return true;
    }
    if (!check_table(chunk, *reference) || !check_owner(chunk, r, *reference)) return false;
    if (!reference->name_space.empty()) namespaces_.insert(reference->name_space);
    const bool plain = reference->kind == Reference::Kind::plain;
    if (reference->name.starts_with("__SCT__") && (plain || reference->real_name))
      static_calls_.try_emplace(reference->name, plain);
    out.symbol = external(*reference);
    const bool is_klp = reference->kind == Reference::Kind::klp;
    references_.insert({where(chunk), reference->name,
                        is_klp                 ? "klp"
                        : reference->unknown   ? "patch"
                        : reference->of_module ? "module"
                                               : "export",
                        reference->owner, reference->sympos});
    if (reference->kind == Reference::Kind::klp)
      side_table_.push_back({out_section, out.offset, out.symbol, *reference});
    return true;
  }

  bool is_module_tracepoint(const Chunk& chunk, const Reference& reference) const {
    return patched_.section(chunk.section).name == "__jump_table" && reference.kind == Reference::Kind::klp &&
           reference.owner != "vmlinux" && reference.name.starts_with("__tracepoint_");
  }

  // Gives a jump label a key of our own. The low bits of its reference are flags (include/linux/jump_label.h).
  void turn_off(const Chunk& entry, const Relocation& r, const Reference& tracepoint, OutputRelocation& out) {
    constexpr uint64_t static_key_size = 16;
    constexpr int64_t flags = 3;
    if (off_key_ == none) {
      const uint32_t section = out_.add_section({.name = ".data.kpatch.off_key",
                                                 .type = SHT_PROGBITS,
                                                 .flags = SHF_ALLOC | SHF_WRITE,
                                                 .alignment = static_key_size,
                                                 .size = static_key_size,
                                                 .contents = std::vector<std::byte>(static_key_size)});
      off_key_ = out_.add_symbol({.name = std::string{off_key_symbol},
                                  .section = section,
                                  .size = static_key_size,
                                  .info = info(STB_LOCAL, STT_OBJECT)});
    }
    out.symbol = off_key_;
    out.addend = r.addend & flags;
    Location user = entry.place(patched_, std::nullopt);
    const auto relocations = patched_.relocations(entry.section, entry.begin, entry.end);
    const Target code = patched_.target(relocations.front());
    if (code.section != no_section) {
      const uint64_t base = code.symbol == no_symbol ? 0 : patched_.symbol(code.symbol).value;
      const uint64_t at = base + static_cast<uint64_t>(code.offset);
      const Chunk* function = selection_.chunk_at(code.section, at);
      if (function != nullptr) user = function->place(patched_, at);
    }
    diagnostics_.warn(
        "tracepoint", std::move(user),
        fmt::format("no longer traces {}, which belongs to module {}", tracepoint.name.substr(13), tracepoint.owner));
  }

  bool check_relocation(const Chunk& chunk, const Relocation& r, const Reference& reference) {
    const Arch& arch = patched_.arch();
    if (arch.klp.is_sibling_call != nullptr && arch.klp.is_sibling_call(patched_.section(chunk.section).code(), r)) {
      diagnostics_.refuse("sibling-call", chunk.place(patched_, r.offset),
                          fmt::format("ends in a branch to {} instead of a call, from which a livepatch doesn't return "
                                      "with {}",
                                      reference.name, arch.klp.lost_by_sibling_call),
                          "compile it with -fno-optimize-sibling-calls");
      return false;
    }
    if (reference.kind == Reference::Kind::klp && arch.klp.late_relocation != nullptr &&
        !arch.klp.late_relocation(r.type)) {
      diagnostics_.refuse(
          "relocation", chunk.place(patched_, r.offset),
          fmt::format("refers to {} by a relocation (type {}) that can't be applied late", reference.name, r.type));
      return false;
    }
    return true;
  }

  // An indirect call of a function without landing pad, or with one that the kernel has sealed, panics (x86, IBT).
  void check_landing_pad(const Chunk& chunk, const Relocation& r, const Reference& reference) {
    const CodeFacts& code = patched_.arch().code;
    const Section& home = patched_.section(chunk.section);
    if (code.landing_pad == nullptr || reference.symbol == nullptr || reference.symbol->type != SymbolType::function ||
        !uses_landing_pads())
      return;
    const bool data = home.kind == SectionKind::data || home.kind == SectionKind::rodata;
    const bool text = home.kind == SectionKind::text || home.kind == SectionKind::shared_text;
    if ((!data && !text) || code.use_of(home.code(), r) != Use::address) return;
    if (reference.symbol->has_landing_pad && !reference.symbol->landing_pad_sealed) return;
    diagnostics_.refuse(code.landing_pad->sealed_rule, chunk.place(patched_, r.offset),
                        fmt::format("takes the address of {}, which has no {} in the running kernel: an indirect "
                                    "call of it would panic",
                                    reference.name, code.landing_pad->name),
                        "call it directly or through a new function");
  }

  // Whether the object was compiled for landing pads: its functions begin with one.
  bool uses_landing_pads() {
    if (!landing_pads_) {
      landing_pads_ = false;
      for (const Symbol& s : patched_.symbols()) {
        if (!s.function() || s.section == no_section || patched_.section(s.section).contents.size() <= s.value)
          continue;
        if (patched_.arch().code.landing_pad->begins(patched_.section(s.section).contents.subspan(s.value))) {
          landing_pads_ = true;
          break;
        }
      }
    }
    return *landing_pads_;
  }

  // The kernel reads some tables before it applies a module's klp relocations.
  bool check_table(const Chunk& chunk, const Reference& reference) {
    const Section& home = patched_.section(chunk.section);
    if (home.name == "__jump_table" && reference.kind == Reference::Kind::klp && reference.owner != "vmlinux") {
      diagnostics_.refuse("static-key", {.function = reference.name},
                          fmt::format("belongs to module {}: a static branch on it can't be patched", reference.owner),
                          "use static_key_enabled() instead");
      return false;
    }
    if (home.name == "__jump_table" && reference.symbol != nullptr && parent_.in_ro_after_init(*reference.symbol) &&
        !parent_.seals_ro_after_init_keys()) {
      diagnostics_.refuse(
          "static-key", {.function = reference.name},
          "is read-only after boot, and this kernel writes to the key when a module with a branch on it is loaded",
          "use static_key_enabled() instead");
      return false;
    }
    const bool early = section_row(home.name).early || home.kind == SectionKind::out_of_line_code;
    if (early && reference.kind == Reference::Kind::klp && reference.owner != "vmlinux") {
      diagnostics_.refuse("special-section", {.section = std::string{home.name}},
                          fmt::format("would refer to {} of module {}, which is relocated too late for it",
                                      reference.name, reference.owner));
      return false;
    }
    return true;
  }

  // What belongs to a module is there for sure only while that module, or one that needs it, runs.
  bool check_owner(const Chunk& chunk, const Relocation& r, const Reference& reference) {
    if (reference.kind != Reference::Kind::klp || reference.owner == "vmlinux") return true;
    const std::string& user = resolver_.parent_name();
    if (reference.owner == user) return true;
    if (user == "vmlinux") {
      diagnostics_.refuse(
          "new-dependency", chunk.place(patched_, r.offset),
          fmt::format("code of the kernel proper refers to {} of module {}, which needn't be there", reference.name,
                      reference.owner),
          "leave it to code of that module, or look it up when it is needed and do without it where it isn't there");
      return false;
    }
    if (!needed_modules_) needed_modules_ = direct_dependencies(parent_);
    if (parent_needs_.contains(reference.owner) || (needed_modules_ && needed_modules_->contains(reference.owner)))
      return true;
    diagnostics_.refuse(
        "new-dependency", chunk.place(patched_, r.offset),
        fmt::format("refers to {} of module {}, which {} doesn't depend on: it needn't be there", reference.name,
                    reference.owner, user),
        "look it up when it is needed and do without it where it isn't there, or find what does the same in the "
        "kernel proper");
    return false;
  }

  static std::string placeholder(const Reference& reference) {
    if (reference.kind == Reference::Kind::plain || reference.real_name) return reference.name;
    if (reference.name.starts_with("__SCT__"))
      return fmt::format("trampoline.{}.klp.{}.{}", reference.name.substr(7), reference.owner, reference.sympos);
    return fmt::format("{}.klp.{}.{}", reference.name, reference.owner, reference.sympos);
  }

  uint32_t external(const Reference& reference) {
    const std::string name = placeholder(reference);
    auto [it, fresh] = externals_.try_emplace(name, none);
    if (fresh) {
      const bool weak = reference.kind == Reference::Kind::klp && !reference.global_placeholder;
      it->second = out_.add_symbol({.name = name, .info = info(weak ? STB_WEAK : STB_GLOBAL, STT_NOTYPE)});
    }
    return it->second;
  }

  // objtool takes the trampoline for the key where it sees no key, and loading fails with EINVAL
  // (static_call_add_module). That finds the key only where the kernel exports the trampoline alone
  // (EXPORT_STATIC_CALL_TRAMP), so there no key is added.
  void add_static_call_keys() {
    for (const auto& [trampoline, exported] : static_calls_) {
      const std::string key = "__SCK__" + trampoline.substr(7);
      const auto reference = resolver_.named(key);
      if (!reference || reference->unknown || reference->of_module) continue;
      if (exported && reference->kind != Reference::Kind::plain) continue;
      const uint32_t symbol = external(*reference);
      if (reference->kind == Reference::Kind::klp) side_table_.push_back({none, 0, symbol, *reference});
    }
  }

  uint32_t strings_section() {
    if (strings_ == none)
      strings_ = out_.add_section({.name = ".kpatch.strings", .type = SHT_PROGBITS, .flags = SHF_ALLOC});
    return strings_;
  }

  // Appends a field that points to a string.
  void append_string(uint32_t section, const std::string& text) {
    auto [it, fresh] = string_offsets_.try_emplace(text, 0);
    const uint32_t strings = strings_section();
    if (fresh) {
      std::vector<std::byte>& bytes = out_.sections[strings].contents;
      it->second = bytes.size();
      for (char c : text) bytes.push_back(static_cast<std::byte>(c));
      bytes.push_back(std::byte{0});
    }
    append_pointer(section, section_symbol(strings), static_cast<int64_t>(it->second));
  }

  void append_pointer(uint32_t section, uint32_t symbol, int64_t addend) {
    OutputSection& out = out_.sections[section];
    out.relocations.push_back(
        {.offset = out.contents.size(), .type = patched_.arch().elf.absolute_64, .symbol = symbol, .addend = addend});
    out_.append_u64(out, 0);
  }

  void add_functions() {
    if (selection_.functions.empty()) return;
    const uint32_t table =
        out_.add_section({.name = ".kpatch.funcs", .type = SHT_PROGBITS, .flags = SHF_ALLOC, .alignment = 8});
    for (SymbolId id : selection_.functions) {
      const auto reference = resolver_.defined(pair_.twins.orig(id));
      if (!reference) continue;
      const BinarySymbol* known = reference->symbol;
      unsigned sympos = reference->sympos;
      if (reference->kind == Reference::Kind::plain && known != nullptr)
        sympos = parent_.sympos(static_cast<uint32_t>(known - parent_.symbols().data()));
      append_pointer(table, copied_function(id), 0);
      append_string(table, std::string{final_name(id)});
      append_string(table, resolver_.parent_name());
      out_.append_u64(out_.sections[table], sympos);
    }
  }

  // New code of a module, of which nothing is replaced: the core applies its relocations only where the patch names
  // the module.
  void add_object() {
    const bool named =
        resolver_.parent_name() == "vmlinux" || !selection_.functions.empty() || !selection_.callbacks.empty();
    const bool late = std::any_of(side_table_.begin(), side_table_.end(),
                                  [](const SideEntry& e) { return e.reference.owner != "vmlinux"; });
    if (named || !late) return;
    const uint32_t table =
        out_.add_section({.name = ".kpatch.objects", .type = SHT_PROGBITS, .flags = SHF_ALLOC, .alignment = 8});
    append_string(table, resolver_.parent_name());
  }

  void add_callback(const Callback& callback) {
    const std::string name = ".kpatch.callbacks." + callback.kind;
    const uint32_t table =
        out_.add_section({.name = name, .type = SHT_PROGBITS, .flags = SHF_ALLOC | SHF_WRITE, .alignment = 8});
    const Relocation& r = patched_.relocations(callback.section, callback.offset, callback.offset + 8).front();
    const Target target = patched_.target(r);
    append_pointer(table, copied_function(target.symbol), 0);
    append_string(table, resolver_.parent_name());
  }

  // Its symbol in the output. A symbol without bytes, at the end of the section that it names, has none.
  uint32_t copied_function(SymbolId id) {
    if (const auto found = symbols_.find(index(id)); found != symbols_.end()) return found->second;
    diagnostics_.refuse("shared-section", place_of(patched_, id), "has no code of its own");
    return null_symbol;
  }

  void add_side_table() {
    if (side_table_.empty()) return;
    const uint32_t table = out_.add_section({.name = ".comment.kpatch.relocs", .type = SHT_PROGBITS, .alignment = 8});
    for (const SideEntry& entry : side_table_) {
      if (entry.section == none)
        out_.append_u64(out_.sections[table], 0);
      else
        append_pointer(table, section_symbol(entry.section), static_cast<int64_t>(entry.offset));
      append_pointer(table, entry.symbol, 0);
      append_string(table, resolver_.parent_name());
      append_string(table, entry.reference.owner);
      append_string(table, entry.reference.name);
      out_.append_u64(out_.sections[table], entry.reference.sympos);
    }
  }

  // modpost wants to see the namespaces of the exports that a module uses.
  void add_namespaces() {
    if (namespaces_.empty()) return;
    OutputSection info{.name = ".modinfo", .type = SHT_PROGBITS, .flags = SHF_ALLOC};
    for (const std::string& name : namespaces_)
      for (char c : fmt::format("import_ns={}{}", name, '\0')) info.contents.push_back(static_cast<std::byte>(c));
    info.size = info.contents.size();
    out_.add_section(std::move(info));
  }

  struct SideEntry {
    uint32_t section;
    uint64_t offset;
    uint32_t symbol;
    Reference reference;
  };

  const Pair& pair_;
  const Object& patched_;
  const Selection& selection_;
  Resolver& resolver_;
  const Binary& parent_;
  Diagnostics& diagnostics_;
  std::set<SymbolId> replaced_;
  OutputObject out_;
  std::map<std::pair<uint32_t, std::string>, uint32_t> section_of_;
  std::vector<OutputPlace> places_;                 // by chunk
  std::unordered_map<uint32_t, uint32_t> symbols_;  // patched symbol → output symbol
  std::unordered_map<uint32_t, uint32_t> section_symbols_;
  std::unordered_map<std::string, uint32_t> externals_;
  std::unordered_map<std::string, uint64_t> string_offsets_;
  std::vector<SideEntry> side_table_;
  std::map<std::string, bool> static_calls_;  // trampolines that are called; whether the kernel exports them
  std::set<std::string> namespaces_;
  std::set<ReferenceReport> references_;
  std::set<std::string> globals_;  // what other objects of the patch may refer to
  std::optional<bool> landing_pads_;
  const std::set<std::string>& parent_needs_;
  std::optional<std::set<std::string>> needed_modules_;  // of the parent, by its own word
  uint32_t strings_ = none;
  uint32_t off_key_ = none;  // the symbol of the key of what is turned off
};

}  // namespace

OutputObject build_output(const Pair& pair, const Selection& selection, Resolver& resolver, const Binary& parent,
                          const std::set<std::string>& parent_needs, Diagnostics& diagnostics, OutputReport& report) {
  Builder builder(pair, selection, resolver, parent, parent_needs, diagnostics);
  OutputObject object = builder.run();
  report.references.assign(builder.references().begin(), builder.references().end());
  report.globals.assign(builder.globals().begin(), builder.globals().end());
  report.places = builder.places();
  return object;
}

}  // namespace kpatch
