// Numbers in bytes, of either byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kpatch {

// What the bytes, at most eight, hold as an unsigned number.
inline uint64_t number_of(std::span<const std::byte> bytes, bool big_endian) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i)
    value = value << 8 | std::to_integer<uint64_t>(bytes[big_endian ? i : bytes.size() - 1 - i]);
  return value;
}

// Appends the low `size` bytes of the value.
inline void append_number(std::vector<std::byte>& bytes, uint64_t value, size_t size, bool big_endian) {
  for (size_t i = 0; i < size; ++i)
    bytes.push_back(static_cast<std::byte>(value >> 8 * (big_endian ? size - 1 - i : i) & 0xff));
}

}  // namespace kpatch
