// What a TPM signs (TCG, Trusted Platform Module Library, Part 2), in big endian:
//
//     TPMS_ATTEST    u32 ff544347 ‖ u16 8018 ‖ name of the key ‖ nonce ‖ u64 clock ‖ u32 resets ‖ u32 restarts ‖ u8 safe ‖
//                    u64 firmware ‖ u32 selections ‖ each: u16 bank, u8 n, n bytes of bits ‖ digest of the values
//     TPMT_SIGNATURE u16 scheme ‖ u16 hash ‖ the signature, of ECDSA r and s
//
// where names, nonces, digests and numbers have their size, u16, in front. Values signed by the key begin with ff544347
// only when the TPM made them itself: nobody can have it sign a forged quote.
#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>

#include "attest/attest.h"
#include "support/error.h"

namespace kpatch {
namespace {

using std::string_view;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};

class Fields {
 public:
  Fields(string_view bytes, const char* what) : rest_(bytes), what_(what) {}
  string_view take(size_t size) {
    if (size > rest_.size()) throw Error(fmt::format("{} is cut off", what_));
    const string_view part = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return part;
  }
  uint64_t number(size_t size) {
    uint64_t value = 0;
    for (const char c : take(size)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  string_view sized() { return take(number(2)); }
  bool done() const { return rest_.empty(); }

 private:
  string_view rest_;
  const char* what_;
};

constexpr uint64_t sha256_bank = 0x000b, rsassa = 0x0014, rsapss = 0x0016, ecdsa = 0x0018;

const unsigned char* bytes_of(string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string der_of(string_view r, string_view s) {
  const std::unique_ptr<ECDSA_SIG, Free> signature(ECDSA_SIG_new());
  BIGNUM* const first = BN_bin2bn(bytes_of(r), static_cast<int>(r.size()), nullptr);
  BIGNUM* const second = BN_bin2bn(bytes_of(s), static_cast<int>(s.size()), nullptr);
  if (!signature || ECDSA_SIG_set0(signature.get(), first, second) != 1) throw Error("the signature is none");
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  std::string bytes(reinterpret_cast<char*>(der), size > 0 ? static_cast<size_t>(size) : 0);
  OPENSSL_free(der);
  return bytes;
}

void verify(string_view message, string_view signature, string_view key_pem) {
  Fields fields(signature, "the signature");
  const uint64_t scheme = fields.number(2), hash = fields.number(2);
  if (hash != sha256_bank) throw Error("the signature isn't of a SHA-256");
  std::string bytes;
  if (scheme == rsassa || scheme == rsapss) {
    bytes = fields.sized();
  } else if (scheme == ecdsa) {
    const string_view r = fields.sized(), s = fields.sized();
    bytes = der_of(r, s);
  } else {
    throw Error(fmt::format("the signature's scheme {:#06x} isn't known", scheme));
  }
  if (!fields.done()) throw Error("something follows the signature");
  const std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  const std::unique_ptr<EVP_PKEY, Free> key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (!key) throw Error("the attestation key is no public key in PEM");
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* how = nullptr;
  bool good = EVP_DigestVerifyInit(context.get(), &how, EVP_sha256(), nullptr, key.get()) == 1;
  if (good && scheme == rsapss)
    good = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_AUTO) == 1;
  good = good && EVP_DigestVerify(context.get(), bytes_of(bytes), bytes.size(), bytes_of(message), message.size()) == 1;
  ERR_clear_error();
  if (!good) throw Error("the quote isn't signed by the attestation key");
}

// The one register of the SHA-256 bank that is selected.
unsigned register_in(Fields& fields) {
  std::vector<unsigned> registers;
  for (uint64_t banks = fields.number(4); banks > 0; --banks) {
    const uint64_t bank = fields.number(2);
    const string_view bits = fields.take(fields.number(1));
    for (unsigned i = 0; i < 8 * bits.size(); ++i) {
      if ((static_cast<unsigned char>(bits[i / 8]) >> i % 8 & 1U) == 0) continue;
      if (bank != sha256_bank) throw Error("the quote is of another bank than sha256");
      registers.push_back(i);
    }
  }
  if (registers.size() != 1) throw Error(fmt::format("the quote is of {} registers, and not of one", registers.size()));
  return registers.front();
}

}  // namespace

Quote read_quote(string_view message, string_view signature, string_view key_pem) {
  verify(message, signature, key_pem);
  Fields fields(message, "the quote");
  Quote quote;
  if (fields.number(4) != 0xff544347 || fields.number(2) != 0x8018) throw Error("what was signed is no quote");
  fields.sized();
  quote.nonce = fields.sized();
  quote.clock = fields.number(8);
  quote.resets = static_cast<uint32_t>(fields.number(4));
  quote.restarts = static_cast<uint32_t>(fields.number(4));
  fields.take(1 + 8);
  quote.pcr = register_in(fields);
  quote.digest = fields.sized();
  if (!fields.done()) throw Error("something follows the quote");
  return quote;
}

}  // namespace kpatch
