#include "support/digest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "support/error.h"

namespace kpatch {
namespace {

std::string hex(XXH128_hash_t hash) { return fmt::format("{:016x}{:016x}", hash.high64, hash.low64); }

}  // namespace

std::string digest_of(std::string_view bytes) { return hex(XXH3_128bits(bytes.data(), bytes.size())); }

std::string digest_of_file(const std::filesystem::path& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw Error(fmt::format("can't read {}: {}", path.string(), std::strerror(errno)));
  XXH3_state_t* state = XXH3_createState();
  XXH3_128bits_reset(state);
  std::vector<char> buffer(1 << 20);
  ssize_t got;
  while ((got = read(fd, buffer.data(), buffer.size())) > 0 || (got < 0 && errno == EINTR))
    if (got > 0) XXH3_128bits_update(state, buffer.data(), size_t(got));
  int error = got < 0 ? errno : 0;
  std::string digest = hex(XXH3_128bits_digest(state));
  XXH3_freeState(state);
  close(fd);
  if (error) throw Error(fmt::format("can't read {}: {}", path.string(), std::strerror(error)));
  return digest;
}

}  // namespace kpatch
