#include "support/sha384.h"

#include <nettle/sha2.h>
#include <nettle/version.h>

#include <array>
#include <cstdint>

#include "support/sha256.h"

namespace kpatch {

std::string sha384_of(std::string_view bytes) {
  sha384_ctx context;
  std::array<uint8_t, SHA384_DIGEST_SIZE> digest;
  sha384_init(&context);
  sha384_update(&context, bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
#if NETTLE_VERSION_MAJOR >= 4
  sha384_digest(&context, digest.data());
#else
  sha384_digest(&context, digest.size(), digest.data());
#endif
  return hex_of({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace kpatch
