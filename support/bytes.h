// Numbers in bytes, of either byte order.
#pragma once

#include <algorithm>
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

// Strings of mergeable sections: characters of `width` bytes (1, 2 for L"…" in EFI code, 4), and one that is zero at the
// end. The last string of a section may lack that.

inline bool is_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

// How many bytes the string has that is at `at`, without the zero.
inline uint64_t string_length(std::span<const std::byte> bytes, uint64_t at, uint64_t width) {
  uint64_t end = at;
  while (end + width <= bytes.size() && !is_zero(bytes.subspan(end, width))) end += width;
  return end + width <= bytes.size() ? end - at : bytes.size() - at;
}

// Where the string begins that covers `at`, at most bytes.size().
inline uint64_t string_begin(std::span<const std::byte> bytes, uint64_t at, uint64_t width) {
  uint64_t begin = at - at % width;
  while (begin >= width && !is_zero(bytes.subspan(begin - width, width))) begin -= width;
  return begin;
}

}  // namespace kpatch
