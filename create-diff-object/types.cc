// Reading types
//
// DWARF describes a type by entries that refer to each other. Two things are kept of each member: where it lies, and its
// shape, which is what its bytes mean to code. Two members of one size and place may differ in it:
//
//     struct ops { int (*open)(struct inode *); u8 data[]; };
//     struct ops { int (*open)(struct inode *, int); u16 data[]; };
//
// Names of plain numbers are no part of a shape (`u32` for `unsigned int`), nor their sign: what lies in memory is the
// same. Structs go by their names, so that a change inside one is that one's own.
#include "create-diff-object/types.h"

#include <dwarf.h>
#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace kpatch {
namespace {

constexpr size_t longest = 10000;  // of a type's text: one that doubles with each level would fill the memory
constexpr unsigned deepest = 32;   // of types within types: no kernel has more, a damaged file may have a circle

class TypeReader {
 public:
  Types run(const SourceLines& lines) {
    lines.each_unit([&](Dwarf_Die& unit) {
      names_.clear();
      shapes_.clear();
      const char* name = dwarf_diename(&unit);
      unit_name_ = name != nullptr ? name : "";
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
    if (dwarf_formref_die(dwarf_attr_integrate(&die, DW_AT_type, &attribute), &type) == nullptr) return std::nullopt;
    return type;
  }

  static const char* keyword(int tag) {
    return tag == DW_TAG_structure_type     ? "struct"
           : tag == DW_TAG_union_type       ? "union"
           : tag == DW_TAG_enumeration_type ? "enum"
                                            : nullptr;
  }

  static bool is_nameless(Dwarf_Die& type) {
    return keyword(dwarf_tag(&type)) != nullptr && dwarf_diename(&type) == nullptr;
  }

  static uint64_t size_of(Dwarf_Die& type) {
    Dwarf_Word size = 0;
    return dwarf_aggregate_size(&type, &size) == 0 ? size : 0;
  }

  void add(Dwarf_Die& die) {
    const int tag = dwarf_tag(&die);
    const char* name = dwarf_diename(&die);
    if (const char* word = keyword(tag); word != nullptr) {
      if (name != nullptr && !dwarf_hasattr(&die, DW_AT_declaration))
        add_type(fmt::format("{} {}", word, name), die);
      else if (name == nullptr && tag == DW_TAG_enumeration_type)
        add_values(types_.layouts[nameless_enums], die);
    } else if (tag == DW_TAG_typedef && name != nullptr) {
      auto type = type_of(die);
      if (type && is_nameless(*type)) add_type(name, *type);
    } else if (tag == DW_TAG_subprogram) {
      add_function(die, name);
    } else if (tag == DW_TAG_variable) {
      add_variable(die);
    }
  }

  // The static variables of a function.
  void add_static_locals(Dwarf_Die& block, const std::string& function, unsigned depth = 0) {
    each_child(block, [&](Dwarf_Die& inner) {
      const int tag = dwarf_tag(&inner);
      if (tag == DW_TAG_variable) add_variable(inner, function);
      if (tag == DW_TAG_lexical_block && depth < deepest) add_static_locals(inner, function, depth + 1);
    });
  }

  void add_function(Dwarf_Die& die, const char* name) {
    if (name != nullptr && dwarf_hasattr(&die, DW_AT_external) && !dwarf_hasattr(&die, DW_AT_declaration)) {
      types_.prototypes.try_emplace(name, prototype(die));
      mention(type_of(die), types_.functions, name);
      each_child(die, [&](Dwarf_Die& parameter) {
        if (dwarf_tag(&parameter) == DW_TAG_formal_parameter) mention(type_of(parameter), types_.functions, name);
      });
    }
    if (name != nullptr && !dwarf_hasattr(&die, DW_AT_external) && !dwarf_hasattr(&die, DW_AT_declaration))
      types_.own_prototypes.try_emplace(name, prototype(die));
    if (name != nullptr && dwarf_hasattr(&die, DW_AT_prototyped) && !dwarf_hasattr(&die, DW_AT_declaration)) {
      std::vector<std::string> names;
      each_child(die, [&](Dwarf_Die& parameter) {
        const char* its_name = dwarf_diename(&parameter);
        if (dwarf_tag(&parameter) == DW_TAG_formal_parameter) names.emplace_back(its_name != nullptr ? its_name : "");
      });
      types_.parameters.try_emplace(name, std::move(names));
    }
    add_static_locals(die, name != nullptr ? name : "");
  }

  // On a stack are those without an address of their own.
  void add_variable(Dwarf_Die& die, const std::string& function = "") {
    Dwarf_Attribute attribute;
    Dwarf_Op* operations = nullptr;
    size_t count = 0;
    const bool external = dwarf_hasattr(&die, DW_AT_external);
    const bool located = dwarf_getlocation(dwarf_attr(&die, DW_AT_location, &attribute), &operations, &count) == 0 &&
                         count > 0 && (operations[0].atom == DW_OP_addr || operations[0].atom == DW_OP_addrx);
    if (!external && !located) return;
    Dwarf_Attribute name_attribute;
    const char* name = dwarf_formstring(dwarf_attr_integrate(&die, DW_AT_name, &name_attribute));
    if (name == nullptr) return;
    mention(type_of(die), types_.variables, name);
    std::optional<Dwarf_Die> element = type_of(die);
    for (unsigned steps = 0; element && is_array_or_qualified(*element) && steps < deepest; ++steps)
      element = type_of(*element);
    if (!element) return;
    types_.variable_shapes.try_emplace(function.empty() ? name : fmt::format("{}: {}", function, name),
                                       TypeMember{0, size_of(*element) * 8, shape(*element), bare_shape(*element)});
  }

  static bool is_array_or_qualified(Dwarf_Die& type) {
    const int tag = dwarf_tag(&type);
    return tag == DW_TAG_array_type || tag == DW_TAG_const_type || tag == DW_TAG_volatile_type;
  }

  // Enters `who` for the type that this one is made of, or points to.
  void mention(std::optional<Dwarf_Die> type, std::map<std::string, std::set<std::string>>& into, const char* who) {
    for (unsigned steps = 0; type && steps < deepest; ++steps) {
      if (const auto name = named(*type)) {
        into[*name].insert(who);
        return;
      }
      const int tag = dwarf_tag(&*type);
      if (tag == DW_TAG_subroutine_type || tag == DW_TAG_structure_type || tag == DW_TAG_union_type) return;
      type = type_of(*type);
    }
  }

  // Under which name the type stands in layouts.
  static std::optional<std::string> named(Dwarf_Die& type) {
    const int tag = dwarf_tag(&type);
    const char* name = dwarf_diename(&type);
    if (name == nullptr) return std::nullopt;
    if (keyword(tag) != nullptr) return fmt::format("{} {}", keyword(tag), name);
    if (tag != DW_TAG_typedef) return std::nullopt;
    auto inner = type_of(type);
    if (inner && is_nameless(*inner)) return name;
    return std::nullopt;
  }

  void add_type(const std::string& name, Dwarf_Die& die) {
    auto [it, fresh] = types_.layouts.try_emplace(name);
    if (!fresh) return;
    TypeLayout& layout = it->second;
    layout.keyword = keyword(dwarf_tag(&die));
    layout.size = number(die, DW_AT_byte_size).value_or(0);
    layout.alignment = number(die, DW_AT_alignment).value_or(0);
    if (const char* file = dwarf_decl_file(&die)) {
      layout.place.file = file;
      dwarf_decl_line(&die, &layout.place.line);
      layout.own_file = is_unit(file);
    }
    add_values(layout, die);
    add_members(layout, die, 0, "", 0);
  }

  bool is_unit(std::string_view file) const {
    const std::string one = std::filesystem::path(file).lexically_normal().string();
    const std::string other = std::filesystem::path(unit_name_).lexically_normal().string();
    return !other.empty() && (one == other || one.ends_with("/" + other));
  }

  static void add_values(TypeLayout& layout, Dwarf_Die& die) {
    if (dwarf_tag(&die) != DW_TAG_enumeration_type) return;
    layout.keyword = "enum";
    each_child(die, [&](Dwarf_Die& child) {
      const char* name = dwarf_diename(&child);
      Dwarf_Attribute attribute;
      Dwarf_Sword value = 0;
      if (dwarf_tag(&child) == DW_TAG_enumerator && name != nullptr &&
          dwarf_formsdata(dwarf_attr(&child, DW_AT_const_value, &attribute), &value) == 0)
        layout.values[name] = value;
    });
  }

  // From the type's start. Bit-fields: DW_AT_data_bit_offset in DWARF 5; in DWARF 4 what is left of the field in the
  // unit that holds it, counted from that unit's most significant bit.
  uint64_t place_of(Dwarf_Die& member, Dwarf_Die& type) const {
    if (const auto at = number(member, DW_AT_data_bit_offset)) return *at;
    const uint64_t start = number(member, DW_AT_data_member_location).value_or(0) * 8;
    const auto from_top = number(member, DW_AT_bit_offset);
    if (!from_top) return start;
    if (big_endian(member)) return start + *from_top;
    const uint64_t unit = number(member, DW_AT_byte_size).value_or(size_of(type)) * 8;
    return start + unit - *from_top - number(member, DW_AT_bit_size).value_or(0);
  }

  static bool big_endian(Dwarf_Die& die) {
    Dwarf* dwarf = dwarf_cu_getdwarf(die.cu);
    Elf* elf = dwarf != nullptr ? dwarf_getelf(dwarf) : nullptr;
    const char* ident = elf != nullptr ? elf_getident(elf, nullptr) : nullptr;
    return ident != nullptr && ident[EI_DATA] == ELFDATA2MSB;
  }

  void add_members(TypeLayout& layout, Dwarf_Die& die, uint64_t base, const std::string& path, unsigned depth) {
    size_t nameless = 0;
    each_child(die, [&](Dwarf_Die& member) {
      if (dwarf_tag(&member) != DW_TAG_member) return;
      const char* name = dwarf_diename(&member);
      auto type = type_of(member);
      if (!type) return;
      // A nameless struct, or an array of them.
      std::optional<Dwarf_Die> inner = type;
      while (inner && dwarf_tag(&*inner) == DW_TAG_array_type) inner = type_of(*inner);
      const bool has_inner =
          inner && is_nameless(*inner) && dwarf_tag(&*inner) != DW_TAG_enumeration_type && depth < deepest;
      if (name == nullptr && !has_inner) return;
      const uint64_t bits = base + place_of(member, *type);
      const std::string full = path + (name != nullptr ? name : fmt::format("#{}", nameless++));
      if (name != nullptr) {
        const uint64_t width = number(member, DW_AT_bit_size).value_or(size_of(*type) * 8);
        layout.members[full] = {bits, width, shape(*type), bare_shape(*type)};
      }
      if (has_inner)
        add_members(layout, *inner, bits, name != nullptr ? full + "." : path, depth + 1);
      else
        add_uses(layout, *type);
    });
  }

  static void add_uses(TypeLayout& layout, Dwarf_Die type) {
    bool pointer = false;
    for (unsigned steps = 0; steps < deepest; ++steps) {
      if (const auto name = named(type)) {
        (pointer ? layout.points_to : layout.embeds).insert(*name);
        return;
      }
      const int tag = dwarf_tag(&type);
      pointer |= tag == DW_TAG_pointer_type;
      if (tag != DW_TAG_typedef && tag != DW_TAG_array_type && tag != DW_TAG_const_type &&
          tag != DW_TAG_volatile_type && tag != DW_TAG_pointer_type)
        return;
      const auto next = type_of(type);
      if (!next) return;
      type = *next;
    }
  }

  // "[4]" for each dimension, "[]" where the bound is open or zero.
  static std::string bounds(Dwarf_Die& array) {
    std::string text;
    each_child(array, [&](Dwarf_Die& range) {
      if (dwarf_tag(&range) != DW_TAG_subrange_type) return;
      auto count = number(range, DW_AT_count);
      if (const auto last = number(range, DW_AT_upper_bound)) count = *last + 1;
      text += count && *count != 0 ? fmt::format("[{}]", *count) : "[]";
    });
    return text;
  }

  std::string shape(std::optional<Dwarf_Die> type, unsigned depth = 0) {
    if (!type) return "void";
    if (depth > deepest) return "…";
    const Dwarf_Off offset = dwarf_dieoffset(&*type);
    if (const auto known = shapes_.find(offset); known != shapes_.end()) return known->second;
    const int tag = dwarf_tag(&*type);
    const auto inner = [&] { return shape(type_of(*type), depth + 1); };
    std::string text;
    if (const auto name = named(*type); name && tag != DW_TAG_enumeration_type)
      text = *name;
    else if (tag == DW_TAG_pointer_type)
      text = "pointer to " + inner();
    else if (tag == DW_TAG_typedef || tag == DW_TAG_const_type || tag == DW_TAG_volatile_type ||
             tag == DW_TAG_restrict_type || tag == DW_TAG_atomic_type)
      text = inner();
    else if (tag == DW_TAG_array_type)
      text = fmt::format("{} {}", inner(), bounds(*type));
    else if (tag == DW_TAG_subroutine_type)
      text = function_shape(*type, depth);
    else if (tag == DW_TAG_base_type || tag == DW_TAG_enumeration_type)
      text = fmt::format("{}-byte number", size_of(*type));
    else
      text = fmt::format("{} of {} bytes", keyword(tag) != nullptr ? keyword(tag) : "type", size_of(*type));
    if (text.size() > longest) text = "…";
    shapes_.emplace(offset, text);
    return text;
  }

  // spinlock_t and raw_spinlock_t are two structs, of which each holds the next one and nothing else.
  std::string bare_shape(Dwarf_Die type) {
    for (unsigned steps = 0; steps < deepest; ++steps) {
      const int tag = dwarf_tag(&type);
      std::optional<Dwarf_Die> next;
      if (tag == DW_TAG_typedef || tag == DW_TAG_const_type || tag == DW_TAG_volatile_type)
        next = type_of(type);
      else if (tag == DW_TAG_structure_type || tag == DW_TAG_union_type)
        next = only_member(type);
      if (!next) break;
      type = *next;
    }
    return shape(type);
  }

  // The type of the one member that fills the whole type.
  std::optional<Dwarf_Die> only_member(Dwarf_Die& type) const {
    std::optional<Dwarf_Die> only;
    size_t count = 0;
    each_child(type, [&](Dwarf_Die& member) {
      if (dwarf_tag(&member) == DW_TAG_member && ++count == 1 && !dwarf_hasattr(&member, DW_AT_bit_size) &&
          !dwarf_hasattr(&member, DW_AT_data_bit_offset))
        only = type_of(member);
    });
    if (count != 1 || !only || size_of(*only) != size_of(type)) return std::nullopt;
    return only;
  }

  std::string function_shape(Dwarf_Die& function, unsigned depth) {
    std::string parameters;
    each_child(function, [&](Dwarf_Die& die) {
      const int tag = dwarf_tag(&die);
      if (tag != DW_TAG_formal_parameter && tag != DW_TAG_unspecified_parameters) return;
      if (!parameters.empty()) parameters += ", ";
      parameters += tag == DW_TAG_formal_parameter ? shape(type_of(die), depth + 1) : "...";
    });
    return fmt::format("function ({}) that returns {}", parameters, shape(type_of(function), depth + 1));
  }

  // "struct inode *", "const char [16]": types by their names, so that a change inside of one is that type's own.
  std::string name_of(std::optional<Dwarf_Die> type, unsigned depth = 0) {
    if (!type) return "void";
    if (depth > deepest) return "…";
    if (const auto known = names_.find(dwarf_dieoffset(&*type)); known != names_.end()) return known->second;
    const int tag = dwarf_tag(&*type);
    const char* name = dwarf_diename(&*type);
    const auto inner = [&] { return name_of(type_of(*type), depth + 1); };
    std::string text;
    switch (tag) {
      case DW_TAG_pointer_type:
        text = inner() + " *";
        break;
      case DW_TAG_const_type:
        text = "const " + inner();
        break;
      case DW_TAG_volatile_type:
        text = "volatile " + inner();
        break;
      case DW_TAG_restrict_type:
        text = inner();
        break;
      case DW_TAG_array_type:
        text = fmt::format("{} [{}]", inner(), size_of(*type));
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
    if (text.size() > longest) text = "…";
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
  std::string unit_name_;
  std::unordered_map<Dwarf_Off, std::string> names_, shapes_;  // of the unit
};

}  // namespace

Types read_types(const SourceLines& lines) { return TypeReader().run(lines); }

}  // namespace kpatch
