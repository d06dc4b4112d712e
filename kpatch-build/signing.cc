#include "kpatch-build/signing.h"

#include "support/error.h"
#ifdef KPATCH_SIGN
#include "sign/sign.h"
#endif

namespace kpatch {

#ifdef KPATCH_SIGN
ModuleSigner::ModuleSigner(const Options& options) {
  if (options.sign_key.empty()) return;
  signer_ = std::make_shared<const Signer>(Signer::open(options.sign_key, options.certificate));
}

void ModuleSigner::sign(const std::filesystem::path& module) const {
  if (signer_) sign_file({.file = module, .to = {}}, *signer_);
}
#else
ModuleSigner::ModuleSigner(const Options& options) {
  if (!options.sign_key.empty())
    throw Error("--sign: this kpatch-build was built without OpenSSL 3; the kernel's scripts/sign-file signs as well");
}

void ModuleSigner::sign(const std::filesystem::path& /*module*/) const {}
#endif

}  // namespace kpatch
