#include "support/sha256.h"

#include <fmt/format.h>
#include <nettle/base16.h>
#include <nettle/nettle-meta.h>
#include <nettle/version.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <vector>

#include "support/error.h"

namespace kpatch {
namespace {

class Hashing {
 public:
  explicit Hashing(const nettle_hash& hash) : hash_(hash), context_(hash.context_size / sizeof(std::max_align_t) + 1) {
    hash_.init(context_.data());
  }
  void add(std::string_view bytes) {
    hash_.update(context_.data(), bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
  }
  std::string digest() {
    std::string digest(hash_.digest_size, '\0');
#if NETTLE_VERSION_MAJOR >= 4
    hash_.digest(context_.data(), reinterpret_cast<uint8_t*>(digest.data()));
#else
    hash_.digest(context_.data(), digest.size(), reinterpret_cast<uint8_t*>(digest.data()));
#endif
    return hex_of(digest);
  }

 private:
  const nettle_hash& hash_;
  std::vector<std::max_align_t> context_;
};

std::string digest_of(const nettle_hash& hash, std::string_view bytes) {
  Hashing hashing(hash);
  hashing.add(bytes);
  return hashing.digest();
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

std::string sha256_of_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  Hashing hashing(nettle_sha256);
  std::string block(1 << 20, '\0');
  while (in.read(block.data(), static_cast<std::streamsize>(block.size())) || in.gcount() > 0)
    hashing.add(std::string_view(block).substr(0, static_cast<size_t>(in.gcount())));
  if (!in.eof()) throw Error(fmt::format("can't read {}", file.string()));
  return hashing.digest();
}

std::string sha384_of(std::string_view bytes) { return digest_of(nettle_sha384, bytes); }
std::string sha1_of(std::string_view bytes) { return digest_of(nettle_sha1, bytes); }

}  // namespace kpatch
