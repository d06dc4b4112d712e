#include "support/sha256.h"

#include <fmt/format.h>
#include <nettle/base16.h>
#include <nettle/nettle-meta.h>
#include <nettle/version.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kpatch {
namespace {

std::string digest_of(const nettle_hash& hash, std::string_view bytes) {
  std::vector<std::max_align_t> context(hash.context_size / sizeof(std::max_align_t) + 1);
  std::string digest(hash.digest_size, '\0');
  hash.init(context.data());
  hash.update(context.data(), bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
#if NETTLE_VERSION_MAJOR >= 4
  hash.digest(context.data(), reinterpret_cast<uint8_t*>(digest.data()));
#else
  hash.digest(context.data(), digest.size(), reinterpret_cast<uint8_t*>(digest.data()));
#endif
  return hex_of(digest);
}

}  // namespace

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

std::string sha256_of(std::string_view bytes) { return digest_of(nettle_sha256, bytes); }

std::string sha384_of(std::string_view bytes) { return digest_of(nettle_sha384, bytes); }
std::string sha1_of(std::string_view bytes) { return digest_of(nettle_sha1, bytes); }

}  // namespace kpatch
