// The size of a kernel struct from BTF: 4 MB that say what takes 67 s of CPU to get from the DWARF of the same
// vmlinux through readelf. Format: Documentation/bpf/btf.rst. After a header come the types, one after the other, each
// a
//
//   u32 name_off; u32 info; u32 size_or_type;      info: vlen in bits 0-15, kind in bits 24-28
//
// followed by as much as its kind and vlen say. One walk over them finds a struct by its name; a kind that is not known
// here ends the walk, as its length isn't known either, and DWARF is asked instead.
#include <algorithm>
#include <cstring>

#include "lookup/binary-data.h"

namespace kpatch {

namespace {

constexpr uint16_t btf_magic = 0xeb9f;
enum Kind : uint32_t {
  kind_int = 1,
  kind_ptr,
  kind_array,
  kind_struct,
  kind_union,
  kind_enum,
  kind_fwd,
  kind_typedef,
  kind_volatile,
  kind_const,
  kind_restrict,
  kind_func,
  kind_func_proto,
  kind_var,
  kind_datasec,
  kind_float,
  kind_decl_tag,
  kind_type_tag,
  kind_enum64
};

// Bytes that follow the three common words of a type.
std::optional<size_t> tail_size(uint32_t kind, size_t vlen) {
  switch (kind) {
    case kind_int:
    case kind_var:
    case kind_decl_tag:
      return 4;
    case kind_array:
      return 12;
    case kind_struct:
    case kind_union:
    case kind_datasec:
    case kind_enum64:
      return 12 * vlen;
    case kind_enum:
    case kind_func_proto:
      return 8 * vlen;
    case kind_ptr:
    case kind_fwd:
    case kind_typedef:
    case kind_volatile:
    case kind_const:
    case kind_restrict:
    case kind_func:
    case kind_float:
    case kind_type_tag:
      return 0;
    default:
      return std::nullopt;
  }
}

class Words {
 public:
  Words(std::span<const std::byte> bytes, bool swap) : bytes_(bytes), swap_(swap) {}
  uint32_t at(size_t offset) const {
    uint32_t value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return swap_ ? __builtin_bswap32(value) : value;
  }

 private:
  std::span<const std::byte> bytes_;
  bool swap_;
};

}  // namespace

std::optional<uint64_t> btf_struct_size(std::span<const std::byte> btf, std::string_view name) {
  constexpr size_t header_size = 24;
  if (btf.size() < header_size) return std::nullopt;
  uint16_t magic;
  std::memcpy(&magic, btf.data(), sizeof magic);
  bool swap = magic == __builtin_bswap16(btf_magic);
  if (!swap && magic != btf_magic) return std::nullopt;
  Words header(btf, swap);
  uint64_t start = header.at(4);
  uint64_t type_offset = header.at(8), type_length = header.at(12);
  uint64_t string_offset = header.at(16), string_length = header.at(20);
  if (start + type_offset + type_length > btf.size() || start + string_offset + string_length > btf.size())
    return std::nullopt;
  std::span<const std::byte> types = btf.subspan(start + type_offset, type_length);
  std::string_view strings(reinterpret_cast<const char*>(btf.data()) + start + string_offset, string_length);

  Words words(types, swap);
  for (size_t at = 0; types.size() - at >= 12;) {
    uint32_t name_offset = words.at(at);
    uint32_t info = words.at(at + 4);
    uint32_t kind = info >> 24 & 0x1f;
    if (kind == kind_struct && name_offset < strings.size() && strings.size() - name_offset > name.size() &&
        strings.substr(name_offset, name.size()) == name && strings[name_offset + name.size()] == '\0')
      return words.at(at + 8);
    std::optional<size_t> tail = tail_size(kind, info & 0xffff);
    if (!tail || *tail > types.size() - at - 12) return std::nullopt;
    at += 12 + *tail;
  }
  return std::nullopt;
}

}  // namespace kpatch
