// Who signs: a private key and its certificate, out of files or a token.
//
//     kpatch-sign fix.ko --key livepatch.key --cert livepatch.crt
//     kpatch-sign fix.ko --key 'pkcs11:token=build;object=livepatch' --cert livepatch.crt
//
// Files are PEM, or for certificates DER, told apart by what is in them. A key in a token never leaves it: OpenSSL gets
// a handle of it by a provider named pkcs11 (OpenSSL 3), or where there is none by the engine of that name, which is what
// Debian 12 has. No password is ever asked for at a terminal: a build that waits for one at night waits for ever.
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#include <climits>
#include <cstdlib>

#include "sign/openssl.h"
#include "sign/sign.h"
#include "support/error.h"
#include "support/files.h"

// The engine's functions are marked as old by OpenSSL 3, and gone in 4.
#if !defined(OPENSSL_NO_ENGINE) && __has_include(<openssl/engine.h>)
#define KPATCH_ENGINE
#include <openssl/engine.h>
#endif

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using Key = std::shared_ptr<EVP_PKEY>;

const char* pin() { return std::getenv("KBUILD_SIGN_PIN"); }

int give_pin(char* buffer, int size, int /*writing*/, void* /*unused*/) {
  const std::string_view text = pin() == nullptr ? "" : pin();
  if (text.empty() || text.size() > static_cast<size_t>(size)) return -1;
  return static_cast<int>(text.copy(buffer, text.size()));
}

Key key_of_file(const fs::path& file) {
  const std::string text = read_file(file);
  Key key(PEM_read_bio_PrivateKey(bio_of(text).get(), nullptr, give_pin, nullptr), EVP_PKEY_free);
  if (!key) {
    if (pin() == nullptr && text.find("ENCRYPTED") != std::string::npos)
      throw Error(
          fmt::format("{}: the key is encrypted; its password is looked for in KBUILD_SIGN_PIN", file.string()));
    openssl_failed(fmt::format("{}: no private key can be read from it", file.string()));
  }
  return key;
}

Key key_of_provider(const std::string& uri) {
  if (OSSL_PROVIDER_try_load(nullptr, "pkcs11", 1) == nullptr) return nullptr;
  const std::unique_ptr<UI_METHOD, Released<UI_destroy_method>> ui(UI_UTIL_wrap_read_pem_callback(give_pin, 0));
  const std::unique_ptr<OSSL_STORE_CTX, Released<OSSL_STORE_close>> store(
      OSSL_STORE_open(uri.c_str(), ui.get(), nullptr, nullptr, nullptr));
  while (store && OSSL_STORE_eof(store.get()) == 0) {
    const std::unique_ptr<OSSL_STORE_INFO, Released<OSSL_STORE_INFO_free>> info(OSSL_STORE_load(store.get()));
    if (info && OSSL_STORE_INFO_get_type(info.get()) == OSSL_STORE_INFO_PKEY)
      return {OSSL_STORE_INFO_get1_PKEY(info.get()), EVP_PKEY_free};
  }
  openssl_failed(fmt::format("{}: OpenSSL's provider pkcs11 finds no private key there", uri));
}

#ifdef KPATCH_ENGINE
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
Key key_of_engine(const std::string& uri) {
  ENGINE_load_builtin_engines();
  ENGINE* engine = ENGINE_by_id("pkcs11");
  if (engine == nullptr) return nullptr;
  if (ENGINE_init(engine) == 0) openssl_failed("OpenSSL's engine pkcs11 doesn't start");
  if (pin() != nullptr && ENGINE_ctrl_cmd_string(engine, "PIN", pin(), 0) == 0)
    openssl_failed("OpenSSL's engine pkcs11 doesn't take KBUILD_SIGN_PIN");
  // The engine stays as long as the process: the key needs it.
  Key key(ENGINE_load_private_key(engine, uri.c_str(), nullptr, nullptr), EVP_PKEY_free);
  if (!key) openssl_failed(fmt::format("{}: OpenSSL's engine pkcs11 finds no private key there", uri));
  return key;
}
#pragma GCC diagnostic pop
#else
Key key_of_engine(const std::string& /*uri*/) { return nullptr; }
#endif

Key key_of_token(const std::string& uri) {
  Key key = key_of_provider(uri);
  if (!key) key = key_of_engine(uri);
  if (!key)
    throw Error(
        fmt::format("{}: OpenSSL has neither a provider nor an engine named pkcs11 here; Debian's package is "
                    "libengine-pkcs11-openssl, or pkcs11-provider",
                    uri));
  return key;
}

}  // namespace

Bio bio_of(std::string_view bytes) {
  if (bytes.size() > INT_MAX) throw Error("more than 2 GiB are too much to be signed");
  Bio bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  if (!bio) openssl_failed("out of memory");
  return bio;
}

std::string_view bytes_of(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

void openssl_failed(const std::string& what) {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  throw Error(reason == nullptr ? what : fmt::format("{}: {}", what, reason));
}

std::string Certificate::subject() const {
  X509_NAME* name = X509_get_subject_name(x509_.get());
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  std::string text;
  if (at >= 0) {
    unsigned char* utf8 = nullptr;
    const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (size > 0) text.assign(reinterpret_cast<const char*>(utf8), static_cast<size_t>(size));
    OPENSSL_free(utf8);
  } else {
    const std::unique_ptr<char, decltype([](char* line) { OPENSSL_free(line); })> line(
        X509_NAME_oneline(name, nullptr, 0));
    if (line) text = line.get();
  }
  // It is written to terminals and logs.
  std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
  return text;
}

std::string Certificate::der() const {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(x509_.get(), &bytes);
  if (size <= 0) openssl_failed("a certificate can't be written");
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

// kernel: crypto/asymmetric_keys/x509_cert_parser.c, x509_extract_key_data(). ML-DSA, which 7.2 knows, isn't
// among the keys of the OpenSSL that this is built with.
std::string Certificate::refused_key() const {
  EVP_PKEY* key = X509_get0_pubkey(x509_.get());
  if (key == nullptr) {
    ERR_clear_error();
    return "it is of a kind that isn't known";
  }
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) return {};
  const char* name = EVP_PKEY_get0_type_name(key);
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC)
    return fmt::format("it is of {}, and kernels know RSA and ECDSA", name == nullptr ? "an unknown kind" : name);
  std::array<char, 64> group{};
  EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr);
  const int curve = OBJ_txt2nid(group.data());
  for (const int known : {NID_X9_62_prime192v1, NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1})
    if (curve == known) return {};
  return fmt::format("it is of the curve {}, and kernels know P-192, P-256, P-384 and P-521", group.data());
}

std::vector<Certificate> read_certificates(const fs::path& file) {
  const std::string text = read_file(file);
  std::vector<Certificate> found;
  if (text.find("-----BEGIN") != std::string::npos) {
    const Bio bio = bio_of(text);
    while (X509* x509 = PEM_read_bio_X509(bio.get(), nullptr, give_pin, nullptr))
      found.emplace_back(std::shared_ptr<X509>(x509, X509_free));
    // The end of the file is an error as well; whatever else it was, half of a list isn't the list.
    if (const auto error = ERR_peek_last_error();
        ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
      openssl_failed(fmt::format("{}: a certificate in it is damaged", file.string()));
    ERR_clear_error();
  } else {
    const auto* at = reinterpret_cast<const unsigned char*>(text.data());
    const auto* end = at + text.size();
    if (X509* x509 = d2i_X509(nullptr, &at, static_cast<long>(text.size()))) {
      found.emplace_back(std::shared_ptr<X509>(x509, X509_free));
      if (at != end) throw Error(fmt::format("{}: something lies behind the certificate", file.string()));
    }
    ERR_clear_error();
  }
  if (found.empty()) throw Error(fmt::format("{}: it holds no certificate, neither as PEM nor as DER", file.string()));
  return found;
}

Certificate read_certificate(const fs::path& file) {
  std::vector<Certificate> found = read_certificates(file);
  if (found.size() != 1)
    throw Error(fmt::format("{}: it holds {} certificates; give the key's alone", file.string(), found.size()));
  return found.front();
}

Signer Signer::open(const std::string& key, const fs::path& certificate) {
  Certificate own = read_certificate(certificate);
  Key opened = key.starts_with("pkcs11:") ? key_of_token(key) : key_of_file(key);
  if (X509_check_private_key(own.get(), opened.get()) != 1) {
    ERR_clear_error();
    throw Error(fmt::format("{} is not the certificate of {}", certificate.string(), key));
  }
  if (const std::string refused = own.refused_key(); !refused.empty())
    throw Error(fmt::format("{}: no kernel verifies what this key signs: {}", certificate.string(), refused));
  return {std::move(opened), std::move(own)};
}

}  // namespace kpatch
