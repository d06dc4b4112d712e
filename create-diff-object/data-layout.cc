// A livepatch replaces functions, not what they work on. Objects that exist were made by the kernel's own code, and go on
// being used by functions that aren't patched:
//
//   struct pipe_inode_info {                      the livepatch's functions read `head` 8 bytes further on than
//     struct mutex mutex;                         everybody else, who made the pipes that are open
//     wait_queue_head_t rd_wait, wr_wait;
//   + unsigned int limit, level;
//     unsigned int head;
//
// Code shows that only as other numbers in instructions, so the types of both objects are compared, as the compiler
// described them in DWARF. The same holds for what a module passes to an exported function.
//
// New members in a hole, other names, and new values of an enum leave what exists where it is.

#include "create-diff-object/data-layout.h"

#include <dwarf.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <unordered_map>

namespace kpatch {
namespace {

class TypeReader {
 public:
  Types run(const SourceLines& lines) {
    lines.each_unit([&](Dwarf_Die& unit) {
      names_.clear();
      each_child(unit, [&](Dwarf_Die& die) { add(die); });
    });
    return std::move(types_);
  }

 private:
  template <typename Act>
  static void each_child(Dwarf_Die& parent, Act act) {
    Dwarf_Die die;
    if (dwarf_child(&parent, &die) != 0) return;
    do act(die);
    while (dwarf_siblingof(&die, &die) == 0);
  }

  static std::optional<uint64_t> number(Dwarf_Die& die, unsigned attribute_name) {
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    if (dwarf_formudata(dwarf_attr(&die, attribute_name, &attribute), &value) != 0) return std::nullopt;
    return value;
  }

  static std::optional<Dwarf_Die> type_of(Dwarf_Die& die) {
    Dwarf_Attribute attribute;
    Dwarf_Die type;
    if (dwarf_formref_die(dwarf_attr(&die, DW_AT_type, &attribute), &type) == nullptr) return std::nullopt;
    return type;
  }

  static const char* keyword(int tag) {
    return tag == DW_TAG_structure_type     ? "struct"
           : tag == DW_TAG_union_type       ? "union"
           : tag == DW_TAG_enumeration_type ? "enum"
                                            : nullptr;
  }

  void add(Dwarf_Die& die) {
    const int tag = dwarf_tag(&die);
    const char* name = dwarf_diename(&die);
    if (const char* word = keyword(tag); word != nullptr) {
      if (name != nullptr && !dwarf_hasattr(&die, DW_AT_declaration)) add_type(fmt::format("{} {}", word, name), die);
    } else if (tag == DW_TAG_typedef && name != nullptr) {
      auto type = type_of(die);
      if (type && keyword(dwarf_tag(&*type)) != nullptr && dwarf_diename(&*type) == nullptr) add_type(name, *type);
    } else if (tag == DW_TAG_subprogram && name != nullptr && dwarf_hasattr(&die, DW_AT_external) &&
               !dwarf_hasattr(&die, DW_AT_declaration)) {
      types_.prototypes.try_emplace(name, prototype(die));
    }
  }

  void add_type(const std::string& name, Dwarf_Die& die) {
    auto [it, fresh] = types_.layouts.try_emplace(name);
    if (!fresh) return;
    TypeLayout& layout = it->second;
    layout.keyword = keyword(dwarf_tag(&die));
    layout.size = number(die, DW_AT_byte_size).value_or(0);
    add_members(layout, die, 0, "", 0);
  }

  void add_members(TypeLayout& layout, Dwarf_Die& die, uint64_t base, const std::string& path, unsigned depth) {
    constexpr unsigned deepest = 16;  // of nameless types within each other
    size_t nameless = 0;
    each_child(die, [&](Dwarf_Die& member) {
      const int tag = dwarf_tag(&member);
      const char* name = dwarf_diename(&member);
      if (tag == DW_TAG_enumerator && name != nullptr) {
        Dwarf_Attribute attribute;
        Dwarf_Sword value = 0;
        if (dwarf_formsdata(dwarf_attr(&member, DW_AT_const_value, &attribute), &value) == 0)
          layout.values[name] = value;
        return;
      }
      if (tag != DW_TAG_member) return;
      uint64_t bits = base + number(member, DW_AT_data_member_location).value_or(0) * 8;
      if (const auto at = number(member, DW_AT_data_bit_offset)) bits = base + *at;
      auto type = type_of(member);
      if (!type) return;
      const bool inner = keyword(dwarf_tag(&*type)) != nullptr && dwarf_diename(&*type) == nullptr &&
                         dwarf_tag(&*type) != DW_TAG_enumeration_type;
      if (name == nullptr && !inner) return;
      const std::string full = path + (name != nullptr ? name : fmt::format("#{}", nameless++));
      if (name != nullptr) {
        const uint64_t width = number(member, DW_AT_bit_size).value_or(size_of(*type) * 8);
        layout.members[full] = {bits, width};
      }
      if (inner && depth < deepest)
        add_members(layout, *type, bits, name != nullptr ? full + "." : path, depth + 1);
      else
        embed(layout, *type);
    });
  }

  void embed(TypeLayout& layout, Dwarf_Die type) {
    for (int steps = 0; steps < 32; ++steps) {
      const int tag = dwarf_tag(&type);
      if (keyword(tag) != nullptr) {
        if (const char* name = dwarf_diename(&type)) layout.embeds.insert(fmt::format("{} {}", keyword(tag), name));
        return;
      }
      if (tag == DW_TAG_typedef) {
        auto inner = type_of(type);
        if (inner && keyword(dwarf_tag(&*inner)) != nullptr && dwarf_diename(&*inner) == nullptr) {
          layout.embeds.insert(dwarf_diename(&type));
          return;
        }
      }
      if (tag != DW_TAG_typedef && tag != DW_TAG_array_type && tag != DW_TAG_const_type && tag != DW_TAG_volatile_type)
        return;
      const auto next = type_of(type);
      if (!next) return;
      type = *next;
    }
  }

  static uint64_t size_of(Dwarf_Die& type) {
    Dwarf_Word size = 0;
    return dwarf_aggregate_size(&type, &size) == 0 ? size : 0;
  }

  // "struct inode *", "const char [16]": types by their names, so that a change inside of one is that type's own.
  std::string name_of(std::optional<Dwarf_Die> type, unsigned depth = 0) {
    if (!type) return "void";
    if (depth > 32) return "…";
    if (const auto known = names_.find(dwarf_dieoffset(&*type)); known != names_.end()) return known->second;
    const int tag = dwarf_tag(&*type);
    const char* name = dwarf_diename(&*type);
    std::string text;
    switch (tag) {
      case DW_TAG_pointer_type:
        text = name_of(type_of(*type), depth + 1) + " *";
        break;
      case DW_TAG_const_type:
        text = "const " + name_of(type_of(*type), depth + 1);
        break;
      case DW_TAG_volatile_type:
        text = "volatile " + name_of(type_of(*type), depth + 1);
        break;
      case DW_TAG_restrict_type:
        text = name_of(type_of(*type), depth + 1);
        break;
      case DW_TAG_array_type:
        text = fmt::format("{} [{}]", name_of(type_of(*type), depth + 1), size_of(*type));
        break;
      case DW_TAG_subroutine_type:
        text = prototype(*type, depth + 1);
        break;
      default:
        if (name == nullptr)
          text = fmt::format("{} of {} bytes", keyword(tag) != nullptr ? keyword(tag) : "type", size_of(*type));
        else
          text = keyword(tag) != nullptr ? fmt::format("{} {}", keyword(tag), name) : name;
    }
    names_.emplace(dwarf_dieoffset(&*type), text);
    return text;
  }

  std::string prototype(Dwarf_Die& function, unsigned depth = 0) {
    std::string parameters;
    each_child(function, [&](Dwarf_Die& die) {
      const int tag = dwarf_tag(&die);
      if (tag != DW_TAG_formal_parameter && tag != DW_TAG_unspecified_parameters) return;
      if (!parameters.empty()) parameters += ", ";
      parameters += tag == DW_TAG_formal_parameter ? name_of(type_of(die), depth + 1) : "...";
    });
    return fmt::format("{} ({})", name_of(type_of(function), depth + 1), parameters.empty() ? "void" : parameters);
  }

  Types types_;
  std::unordered_map<Dwarf_Off, std::string> names_;  // of the unit
};

std::string in_bytes(uint64_t bits) {
  return bits % 8 == 0 ? fmt::format("{}", bits / 8) : fmt::format("{}, bit {}", bits / 8, bits % 8);
}

std::set<std::string_view> exports_of(const Object& object) {
  std::set<std::string_view> names;
  for (const Symbol& s : object.symbols())
    for (std::string_view prefix : {std::string_view{"__ksymtab_"}, std::string_view{"__export_symbol_"}})
      if (s.section != no_section && s.name.starts_with(prefix)) names.insert(s.name.substr(prefix.size()));
  return names;
}

}  // namespace

Types read_types(const SourceLines& lines) { return TypeReader().run(lines); }

std::optional<std::string> layout_change(const TypeLayout& before, const TypeLayout& after) {
  std::vector<std::string> changes;
  if (before.size != after.size)
    changes.push_back(
        fmt::format("{} from {} to {} bytes", before.size < after.size ? "grows" : "shrinks", before.size, after.size));
  size_t moved = 0;
  constexpr size_t shown = 3;
  for (const auto& [name, member] : before.members) {
    const auto other = after.members.find(name);
    if (other == after.members.end()) continue;
    if (other->second.bits == member.bits && other->second.size == member.size) continue;
    if (++moved > shown) continue;
    changes.push_back(
        member.bits != other->second.bits
            ? fmt::format("{} moves from {} to {}", name, in_bytes(member.bits), in_bytes(other->second.bits))
            : fmt::format("{} has {} bits instead of {}", name, other->second.size, member.size));
  }
  if (moved > shown) changes.push_back(fmt::format("{} more members move", moved - shown));
  for (const auto& [name, value] : before.values) {
    const auto other = after.values.find(name);
    if (other != after.values.end() && other->second != value)
      changes.push_back(fmt::format("{} is {} instead of {}", name, other->second, value));
  }
  if (changes.empty()) return std::nullopt;
  return fmt::format("{}", fmt::join(changes, "; "));
}

void check_data_layout(const Pair& pair, const Selection& selection, const std::set<std::string>& acknowledged,
                       Diagnostics& diagnostics) {
  if (pair.orig.sections().size() <= 1) return;  // the file is new: nothing was compiled with it
  const Types before = read_types(SourceLines(pair.orig)), after = read_types(SourceLines(pair.patched));
  const std::set<std::string_view> exports = exports_of(pair.patched);
  for (const auto& [name, prototype] : before.prototypes) {
    const auto other = after.prototypes.find(name);
    if (!exports.contains(name) || other == after.prototypes.end() || other->second == prototype) continue;
    diagnostics.refuse("export", {.function = name},
                       fmt::format("is exported, and its prototype changes: {} instead of {}. Modules that exist were "
                                   "compiled with the old one",
                                   other->second, prototype),
                       "add a function, and leave this one as it is");
  }
  if (selection.nothing_to_do()) return;
  for (const auto& [name, layout] : before.layouts) {
    const auto other = after.layouts.find(name);
    if (other == after.layouts.end()) continue;
    const auto change = layout_change(layout, other->second);
    if (!change) continue;
    std::vector<std::string> holders;
    for (const auto& [holder, type] : before.layouts)
      if (type.embeds.contains(name)) holders.push_back(holder);
    if (holders.size() > 4) {
      const size_t more = holders.size() - 3;
      holders.resize(3);
      holders.push_back(fmt::format("{} more", more));
    }
    diagnostics.add(
        {"data-layout",
         acknowledged.contains("data-layout") ? Severity::warning : Severity::refusal,
         {.function = name},
         fmt::format("changes its layout: {}{}. What exists was made with the old one, and is used by code that isn't "
                     "patched",
                     *change, holders.empty() ? "" : fmt::format("; held by {}", fmt::join(holders, ", "))),
         "leave the layout as it is, and keep what is new in a shadow variable (klp_shadow_alloc); where only the "
         "patched functions ever see it (on their stacks), --ack data-layout"});
  }
}

}  // namespace kpatch
