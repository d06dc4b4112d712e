// The signature of a finished module, where one is asked for.
#pragma once

#include <filesystem>
#include <memory>

#include "kpatch-build/options.h"

namespace kpatch {

class Signer;

// Key and certificate are opened before anything is built: a build of minutes doesn't end with a wrong password.
class ModuleSigner {
 public:
  // Throws Error when they can't be used, or when this program was built without OpenSSL.
  explicit ModuleSigner(const Options& options);
  // In place; nothing without --sign.
  void sign(const std::filesystem::path& module) const;

 private:
  std::shared_ptr<const Signer> signer_;
};

}  // namespace kpatch
