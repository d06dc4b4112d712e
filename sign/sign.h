// Signatures of kernel modules, and the keys that they are made with.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// OpenSSL's.
struct evp_pkey_st;
struct x509_st;

namespace kpatch {

// --- certificates and keys -------------------------------------------------------------------------------------------

class Certificate {
 public:
  explicit Certificate(std::shared_ptr<x509_st> x509) : x509_(std::move(x509)) {}

  std::string subject() const;  // its common name; else the whole name
  std::string der() const;
  // What speaks against the key where kernels verify modules, 5.10 to 7.3: "it is of DSA"; empty: nothing.
  std::string refused_key() const;
  x509_st* get() const { return x509_.get(); }

 private:
  std::shared_ptr<x509_st> x509_;
};

// DER, or PEM with one or several. Throws Error when there is none.
std::vector<Certificate> read_certificates(const std::filesystem::path& file);
// The same, of which there must be one.
Certificate read_certificate(const std::filesystem::path& file);

// A private key with its certificate.
class Signer {
 public:
  // key: a PEM file, or a URI of PKCS#11 ("pkcs11:token=…;object=…"), which wants OpenSSL's provider or engine of that
  // name. Its password or PIN is asked of the environment's KBUILD_SIGN_PIN, as the kernel's build does. Throws Error,
  // also when the certificate is another key's.
  static Signer open(const std::string& key, const std::filesystem::path& certificate);

  const Certificate& certificate() const { return certificate_; }
  evp_pkey_st* key() const { return key_.get(); }

 private:
  Signer(std::shared_ptr<evp_pkey_st> key, Certificate certificate)
      : key_(std::move(key)), certificate_(std::move(certificate)) {}
  std::shared_ptr<evp_pkey_st> key_;
  Certificate certificate_;
};

// --- modules ---------------------------------------------------------------------------------------------------------

// Views into the file.
struct SignedModule {
  std::string_view content;  // what is signed
  std::string_view cms;      // empty: it has no signature
};
// As the kernel takes a file apart; name: for messages. Throws Error when what stands in front of the last line is no
// signature's description: the kernel refuses such a file.
SignedModule split_signature(std::string_view file, const std::string& name);
// Without the signature, and those that it signed.
std::string_view without_signatures(std::string_view file, const std::string& name);

// Throws Error when it isn't a livepatch, or when something lies behind its end.
void require_livepatch(std::string_view file, const std::string& name);

enum class Hash : uint8_t { sha256, sha384, sha512 };
// "sha256" …; empty: it is none of them.
std::optional<Hash> hash_of(std::string_view name);

// The module with one signature: those that it has are taken off first.
std::string sign_module(std::string_view file, const std::string& name, const Signer& signer, Hash hash = Hash::sha256);

// A file is signed in place, or (to isn't empty) written there; whole or not at all, with the modes of `file`.
struct SignRequest {
  std::filesystem::path file;
  std::filesystem::path to;
  Hash hash = Hash::sha256;
  bool any = false;  // also what isn't a livepatch
};
void sign_file(const SignRequest& request, const Signer& signer);
// Only takes signatures off.
void strip_file(const SignRequest& request);

enum class SignatureState : uint8_t {
  good,
  none,         // there is no signature
  unknown_key,  // none of the certificates made it
  bad           // damaged, of another content, or of a kind that the kernel refuses
};
struct Verdict {
  SignatureState state = SignatureState::none;
  std::string message;  // a sentence's end: "is signed by NAME (sha256)"
};
// Against these certificates alone. As the kernel does, it looks at neither the dates nor the uses in a certificate.
// Never throws for what is in the file.
Verdict verify_module(std::string_view file, std::span<const Certificate> trusted);

// --- keys are made ---------------------------------------------------------------------------------------------------

enum class KeyKind : uint8_t { rsa3072, rsa4096, p384 };
std::optional<KeyKind> key_kind_of(std::string_view name);

struct KeyRequest {
  std::filesystem::path folder;  // made if missing
  KeyKind kind = KeyKind::rsa4096;
  std::string name = "Livepatch Key";  // the certificate's common name
  int days = 3650;
  bool force = false;  // in place of those that are there
};
struct KeyFiles {
  std::filesystem::path key, pem, der;  // livepatch.key, livepatch.pem, livepatch.crt
  bool complete() const;                // the key and the DER certificate are there
};
KeyFiles key_files(const std::filesystem::path& folder);
// A key that only its owner can read, and its self-signed certificate. At no time is there a key without its
// certificate. False: both were there already, and stay. Throws Error, also when one of them alone is there.
bool generate_keys(const KeyRequest& request);

// --- certificates are enrolled ---------------------------------------------------------------------------------------

// A UEFI signature list for each certificate, one behind the other. owner: 16 bytes, as they stand in the file.
using Guid = std::array<uint8_t, 16>;
std::string efi_signature_lists(std::span<const Certificate> certificates, const Guid& owner = {});
// "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"; empty: it is none.
std::optional<Guid> guid_of(std::string_view text);

enum class Firmware : uint8_t { aws, gcp, azure, mok };
std::optional<Firmware> firmware_of(std::string_view name);

struct Enrolment {
  std::vector<std::filesystem::path> files;  // that were written
  std::string advice;                        // the command that takes them
};
// Writes what one enrols the certificates with into the folder, which is made if missing. Throws Error.
Enrolment enrol(std::span<const Certificate> certificates, Firmware firmware, const std::filesystem::path& folder,
                const Guid& owner = {});

}  // namespace kpatch
