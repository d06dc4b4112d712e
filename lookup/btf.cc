// The size of a kernel struct from BTF: 4 MB that say what takes 67 s of CPU to get from the DWARF of the same
// vmlinux through readelf. libbpf reads it, in either byte order, and refuses what is damaged or has a kind of type that
// it doesn't know: DWARF is asked instead.
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <memory>
#include <string>

#include "lookup/binary-data.h"

namespace kpatch {

std::optional<uint64_t> btf_struct_size(std::span<const std::byte> bytes, std::string_view name) {
  libbpf_set_print(nullptr);  // what it says of damaged BTF is nothing for users
  const std::unique_ptr<btf, decltype(&btf__free)> types(btf__new(bytes.data(), static_cast<uint32_t>(bytes.size())),
                                                         &btf__free);
  if (types == nullptr) return std::nullopt;
  const int32_t id = btf__find_by_name_kind(types.get(), std::string(name).c_str(), BTF_KIND_STRUCT);
  if (id < 0) return std::nullopt;
  return btf__type_by_id(types.get(), static_cast<uint32_t>(id))->size;
}

}  // namespace kpatch
