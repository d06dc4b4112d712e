// A pair of objects in one input of the fuzzer: 4 bytes, the length of the first (little-endian), then the two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace kpatch {

struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

// Any input is a pair; lengths beyond its end mean its end.
inline std::pair<Bytes, Bytes> split_pair(const uint8_t* data, size_t size) {
  constexpr size_t prefix = 4;
  if (size < prefix) return {};
  size_t length = 0;
  for (size_t i = 0; i < prefix; ++i) length |= static_cast<size_t>(data[i]) << (8 * i);
  const size_t rest = size - prefix;
  if (length > rest) length = rest;
  return {{data + prefix, length}, {data + prefix + length, rest - length}};
}

}  // namespace kpatch
