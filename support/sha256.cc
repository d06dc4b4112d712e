#include "support/sha256.h"

#include <fmt/format.h>
#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <nettle/version.h>

#include <array>
#include <cstdint>

namespace kpatch {

std::string hex_of(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

std::string bytes_of_hex(std::string_view text) {
  std::string bytes(BASE16_DECODE_LENGTH(text.size()), '\0');
  base16_decode_ctx context;
  base16_decode_init(&context);
  size_t done = bytes.size();
  const int good =
      base16_decode_update(&context, &done, reinterpret_cast<uint8_t*>(bytes.data()), text.size(), text.data());
  // It passes over blanks.
  if (good != 1 || base16_decode_final(&context) != 1 || 2 * done != text.size()) return {};
  bytes.resize(done);
  return bytes;
}

std::string sha256_of(std::string_view bytes) {
  sha256_ctx context;
  std::array<uint8_t, SHA256_DIGEST_SIZE> digest;
  sha256_init(&context);
  sha256_update(&context, bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
#if NETTLE_VERSION_MAJOR >= 4
  sha256_digest(&context, digest.data());
#else
  sha256_digest(&context, digest.size(), digest.data());
#endif
  return hex_of({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace kpatch
