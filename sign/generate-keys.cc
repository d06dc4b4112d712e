// Keys to sign livepatches with.
//
//     livepatch.key   the private key, PEM, for its owner's eyes only
//     livepatch.pem   its certificate, self-signed
//     livepatch.crt   the same as DER, which is what firmware and sign-file take
//
// The certificate says that it signs code, and that it is no authority: what is trusted by a firmware's db as an authority
// vouches for everything that it signs. The kernel looks at neither dates nor uses when it checks a module; keyrings may
// ask for digitalSignature.
//
// A key whose certificate is lost is of no use, and one that is half replaced signs what no machine takes. So all three
// are written beside their places first, where a full disk shows, and then renamed, the key last; a run that replaces
// keys takes the old one away before. Two runs at once: one of them waits for the folder's lock.
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "sign/openssl.h"
#include "sign/sign.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using Key = std::unique_ptr<EVP_PKEY, Released<EVP_PKEY_free>>;
using X509Owner = std::unique_ptr<X509, Released<X509_free>>;

constexpr std::array<std::pair<std::string_view, KeyKind>, 3> kinds = {
    {{"rsa3072", KeyKind::rsa3072}, {"rsa4096", KeyKind::rsa4096}, {"p384", KeyKind::p384}}};

Key new_key(KeyKind kind) {
  Key key;
  if (kind == KeyKind::p384)
    key.reset(EVP_EC_gen("P-384"));
  else
    key.reset(EVP_RSA_gen(kind == KeyKind::rsa3072 ? 3072 : 4096));
  if (!key) openssl_failed("no key can be generated");
  return key;
}

// Random, positive, 20 bytes at most: two certificates of one name are never mistaken for each other.
void set_serial(X509* x509) {
  std::array<unsigned char, 19> bytes{};
  const std::unique_ptr<BIGNUM, Released<BN_free>> number(
      RAND_bytes(bytes.data(), bytes.size()) == 1 ? BN_bin2bn(bytes.data(), bytes.size(), nullptr) : nullptr);
  if (!number || BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509)) == nullptr)
    openssl_failed("no serial number");
}

void add_extension(X509* x509, int id, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, x509, x509, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Released<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, id, value));
  if (!extension || X509_add_ext(x509, extension.get(), -1) != 1) openssl_failed("no certificate can be made");
}

X509Owner new_certificate(EVP_PKEY* key, const KeyRequest& request) {
  X509Owner x509(X509_new());
  if (!x509) openssl_failed("out of memory");
  set_serial(x509.get());
  X509_NAME* name = X509_get_subject_name(x509.get());
  if (X509_set_version(x509.get(), X509_VERSION_3) != 1 ||
      X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(request.name.c_str()), -1, -1, 0) != 1)
    openssl_failed(fmt::format("\"{}\" can't be a certificate's name", request.name));
  if (X509_set_issuer_name(x509.get(), name) != 1 || X509_gmtime_adj(X509_getm_notBefore(x509.get()), 0) == nullptr ||
      X509_time_adj_ex(X509_getm_notAfter(x509.get()), request.days, 0, nullptr) == nullptr ||
      X509_set_pubkey(x509.get(), key) != 1)
    openssl_failed("no certificate can be made");
  add_extension(x509.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(x509.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(x509.get(), NID_ext_key_usage, "codeSigning");
  add_extension(x509.get(), NID_subject_key_identifier, "hash");
  add_extension(x509.get(), NID_authority_key_identifier, "keyid:always");
  const EVP_MD* digest = request.kind == KeyKind::p384 ? EVP_sha384() : EVP_sha256();
  if (X509_sign(x509.get(), key, digest) == 0) openssl_failed("the certificate can't be signed");
  return x509;
}

// Held until the end of a run; it leaves nothing behind.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder) : fd_(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (fd_ < 0 || flock(fd_, LOCK_EX) != 0) throw Error(fmt::format("{}: {}", folder.string(), std::strerror(errno)));
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() { close(fd_); }

 private:
  int fd_;
};

// False: there are keys, and they stay.
bool may_write(const KeyFiles& files, const KeyRequest& request) {
  if (request.force) return true;
  if (files.complete()) return false;
  for (const fs::path& file : {files.key, files.der})
    if (fs::exists(file))
      throw Error(fmt::format("{} is there without its {}; --force makes both anew", file.string(),
                              file == files.key ? "certificate" : "key"));
  return true;
}

void write_pair(const KeyFiles& files, EVP_PKEY* key, X509* x509) {
  const Bio secret(BIO_new(BIO_s_secmem())), pem(BIO_new(BIO_s_mem())), der(BIO_new(BIO_s_mem()));
  if (!secret || !pem || !der ||
      PEM_write_bio_PKCS8PrivateKey(secret.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      PEM_write_bio_X509(pem.get(), x509) != 1 || i2d_X509_bio(der.get(), x509) != 1)
    openssl_failed("the key can't be written");
  AtomicFile key_file(files.key), pem_file(files.pem), der_file(files.der);
  if (fchmod(key_file.fd(), 0600) != 0) throw Error(fmt::format("{}: {}", files.key.string(), std::strerror(errno)));
  key_file.write(bytes_of(secret));
  pem_file.write(bytes_of(pem));
  der_file.write(bytes_of(der));
  fs::remove(files.key);
  pem_file.commit();
  der_file.commit();
  key_file.commit();
}

}  // namespace

std::optional<KeyKind> key_kind_of(std::string_view name) {
  for (const auto& [known, kind] : kinds)
    if (known == name) return kind;
  return std::nullopt;
}

bool KeyFiles::complete() const { return fs::exists(key) && fs::exists(der); }

KeyFiles key_files(const fs::path& folder) {
  return {folder / "livepatch.key", folder / "livepatch.pem", folder / "livepatch.crt"};
}

bool generate_keys(const KeyRequest& request) {
  const KeyFiles files = key_files(request.folder);
  fs::create_directories(request.folder);
  const FolderLock lock(request.folder);
  if (!may_write(files, request)) return false;
  const Key key = new_key(request.kind);
  const X509Owner x509 = new_certificate(key.get(), request);
  write_pair(files, key.get(), x509.get());
  return true;
}

}  // namespace kpatch
