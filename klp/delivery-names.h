// Which symbol of the kernel a name means, in a patched object and in a finished module. For delivery*.cc alone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "klp/audit.h"
#include "klp/delivery-image.h"

namespace kpatch {

// A symbol of vmlinux or of a module; `symbol` is an index into the binary's symbols.
struct KernelSymbol {
  std::string owner;
  uint32_t symbol = 0;
  auto operator<=>(const KernelSymbol&) const = default;
};

class KernelNames {
 public:
  explicit KernelNames(const AuditInput& input) : input_(input) {}

  // nullptr when there is none of that name.
  const Binary* binary(std::string_view owner);
  const BinarySymbol& symbol(const KernelSymbol& s) { return binary(s.owner)->symbols()[s.symbol]; }
  // "show of vmlinux at 0xffffffff81234567"
  std::string describe(const KernelSymbol& s);

  // What name and sympos mean to the livepatch core; nothing when that isn't one symbol.
  std::optional<KernelSymbol> ranked(std::string_view owner, std::string_view name, unsigned long sympos);
  // What an undefined symbol of the module means to the loader: an export of vmlinux.
  std::optional<KernelSymbol> exported_by_vmlinux(std::string_view name);
  // What an undefined symbol of an object that is linked into `owner` means, by the linker's and the loader's rules.
  std::optional<KernelSymbol> linked(std::string_view owner, std::string_view name);

  // The symbols of the kernel that one that an object defines may be: none when it is new. More than one only where a
  // number that the compiler gave is all that tells them apart.
  const std::vector<KernelSymbol>& defined(const Image& object, std::string_view owner, uint32_t symbol);

 private:
  std::optional<KernelSymbol> global(std::string_view owner, std::string_view name);
  const std::vector<uint32_t>& groups(const Image& object, const Binary& binary, std::string_view file);
  std::vector<KernelSymbol> find_defined(const Image& object, std::string_view owner, uint32_t symbol);
  std::vector<KernelSymbol> locals(const Image& object, std::string_view owner, uint32_t symbol);

  const AuditInput& input_;
  std::map<std::string, const Binary*, std::less<>> binaries_;
  std::map<std::pair<const Image*, std::string>, std::vector<uint32_t>> groups_;
  std::map<std::pair<const Image*, uint32_t>, std::vector<KernelSymbol>> defined_;
};

}  // namespace kpatch
