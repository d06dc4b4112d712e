// What a kernel looks at when it has to trust a module: a CMS message behind the file, as scripts/sign-file writes it.
//
//     ELF ‖ CMS (DER) ‖ 00 00 02 00 00 00 00 00  00 00 02 a1 ‖ "~Module signature appended~\n"
//                       algo, hash, id type 2 (PKCS#7), …  ^ size of the CMS, big endian
//
// The message is detached and has no attributes and no certificates: the kernel finds the key by issuer and serial number
// in its keyrings, and computes the signature's digest over all bytes before the CMS. So a file that is signed twice
// carries a signature of the first signature, of which the kernel would see the second alone: signatures are taken off
// before a new one is made.
//
// Verifying is stricter than the kernel where two readers could disagree: one signer, nothing embedded, nothing behind
// the message, and a hash of the SHA-2 family.
#include <fmt/format.h>
#include <openssl/err.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "lookup/lookup.h"
#include "sign/openssl.h"
#include "sign/sign.h"
#include "support/archive.h"
#include "support/bytes.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

constexpr string_view magic = "~Module signature appended~\n";  // include/linux/module_signature.h
constexpr size_t trailer_size = 12;                             // struct module_signature
constexpr uint8_t pkcs7 = 2;

constexpr std::array<std::pair<string_view, Hash>, 3> hashes = {
    {{"sha256", Hash::sha256}, {"sha384", Hash::sha384}, {"sha512", Hash::sha512}}};

const EVP_MD* digest_of(Hash hash) {
  switch (hash) {
    case Hash::sha384:
      return EVP_sha384();
    case Hash::sha512:
      return EVP_sha512();
    default:
      return EVP_sha256();
  }
}

// The name of a signer's hash; empty when the kernel may not know it, or nobody should use it.
string_view hash_name(CMS_SignerInfo* signer) {
  X509_ALGOR* digest = nullptr;
  CMS_SignerInfo_get0_algs(signer, nullptr, nullptr, &digest, nullptr);
  if (digest == nullptr) return {};
  const ASN1_OBJECT* object = nullptr;
  X509_ALGOR_get0(&object, nullptr, nullptr, digest);
  for (const auto& [name, hash] : hashes)
    if (OBJ_obj2nid(object) == EVP_MD_get_type(digest_of(hash))) return name;
  return {};
}

// OpenSSL goes by the key alone; the kernel by this field: crypto/asymmetric_keys/pkcs7_parser.c,
// pkcs7_sig_note_pkey_algo(). It knows RSA's without a hash alone, as sign-file writes it, and ECDSA's with one.
bool fits_signature_algorithm(CMS_SignerInfo* signer) {
  X509_ALGOR *digest = nullptr, *signature = nullptr;
  CMS_SignerInfo_get0_algs(signer, nullptr, nullptr, &digest, &signature);
  if (digest == nullptr || signature == nullptr) return false;
  const ASN1_OBJECT *hash = nullptr, *algorithm = nullptr;
  X509_ALGOR_get0(&hash, nullptr, nullptr, digest);
  X509_ALGOR_get0(&algorithm, nullptr, nullptr, signature);
  int of_hash = NID_undef, of_key = NID_undef;
  const int id = OBJ_obj2nid(algorithm);
  return id == NID_rsaEncryption || (OBJ_find_sigid_algs(id, &of_hash, &of_key) == 1 &&
                                     of_key == NID_X9_62_id_ecPublicKey && of_hash == OBJ_obj2nid(hash));
}

std::string trailer_of(size_t cms_size) {
  std::string trailer = {0, 0, pkcs7, 0, 0, 0, 0, 0};
  for (const int shift : {24, 16, 8, 0}) trailer.push_back(static_cast<char>(cms_size >> shift & 0xff));
  return trailer;
}

Cms cms_of(string_view bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto* end = at + bytes.size();
  Cms cms(d2i_CMS_ContentInfo(nullptr, &at, static_cast<long>(bytes.size())));
  if (at != end) cms.reset();
  return cms;
}

bool made_by(string_view cms_bytes, string_view content, const Certificate& certificate) {
  // Verifying leaves marks in the message: each certificate gets one of its own.
  const Cms cms = cms_of(cms_bytes);
  const std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })> candidates(
      sk_X509_new_null());
  // Of a memory BIO CMS_verify reads a copy, and loses it where the message's digest is unknown: a filter in front of it
  // is read itself.
  const Bio data = bio_of(content), filter(BIO_new(BIO_f_null()));
  if (!cms || !candidates || !filter || sk_X509_push(candidates.get(), certificate.get()) == 0) return false;
  BIO_push(filter.get(), data.get());
  const bool good = CMS_verify(cms.get(), candidates.get(), nullptr, filter.get(), nullptr,
                               CMS_BINARY | CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY) == 1;
  BIO_pop(filter.get());
  return good;
}

Verdict bad(std::string message) { return {SignatureState::bad, std::move(message)}; }

Verdict judge(const SignedModule& module, std::span<const Certificate> trusted) {
  if (module.cms.empty()) return {SignatureState::none, "is not signed"};
  const Cms cms = cms_of(module.cms);
  if (!cms) return bad("has a damaged signature");
  if (OBJ_obj2nid(CMS_get0_type(cms.get())) != NID_pkcs7_signed || CMS_is_detached(cms.get()) != 1 ||
      OBJ_obj2nid(CMS_get0_eContentType(cms.get())) != NID_pkcs7_data)
    return bad("has a signature of a kind that no kernel takes: it isn't a detached signature of data");
  STACK_OF(CMS_SignerInfo)* signers = CMS_get0_SignerInfos(cms.get());
  if (sk_CMS_SignerInfo_num(signers) != 1) return bad("has not one signer");
  CMS_SignerInfo* signer = sk_CMS_SignerInfo_value(signers, 0);
  if (CMS_signed_get_attr_count(signer) >= 0) return bad("has a signature with attributes, which the kernel refuses");
  const string_view hash = hash_name(signer);
  if (hash.empty()) return bad("is signed with another hash than sha256, sha384 or sha512");
  if (!fits_signature_algorithm(signer))
    return bad("has a signature of a kind that no kernel takes: they verify RSA (PKCS#1) and ECDSA");
  bool known = false;
  for (const Certificate& certificate : trusted) {
    if (CMS_SignerInfo_cert_cmp(signer, certificate.get()) != 0) continue;
    known = true;
    if (const std::string refused = certificate.refused_key(); !refused.empty())
      return bad(fmt::format("is signed with a key that no kernel verifies: {}", refused));
    if (made_by(module.cms, module.content, certificate))
      return {SignatureState::good, fmt::format("is signed by {} ({})", certificate.subject(), hash)};
  }
  if (known) return bad("doesn't fit its signature: one of them was changed");
  return {SignatureState::unknown_key, "is signed with a key that isn't trusted"};
}

// Where the ELF file ends: its last section, or the table of sections.
uint64_t end_of(const ElfFile& elf) {
  const GElf_Ehdr& header = elf.header();
  uint64_t end = header.e_shoff + elf.sections().size() * uint64_t{header.e_shentsize};
  for (const ElfSection& section : elf.sections())
    if (!section.contents.empty()) end = std::max(end, section.header.sh_offset + section.header.sh_size);
  return end;
}

// A link stays one: what it leads to is written.
void replace(const SignRequest& request, string_view contents) {
  const fs::path target = request.to.empty() ? fs::canonical(request.file) : request.to;
  struct stat mode {};
  AtomicFile to(target);
  if (stat(request.file.c_str(), &mode) != 0 || (!fs::is_other(target) && fchmod(to.fd(), mode.st_mode & 0777) != 0))
    throw Error(fmt::format("{}: {}", target.string(), std::strerror(errno)));
  to.write(contents);
  to.commit();
}

}  // namespace

std::optional<Hash> hash_of(string_view name) {
  for (const auto& [known, hash] : hashes)
    if (known == name) return hash;
  return std::nullopt;
}

SignedModule split_signature(string_view file, const std::string& name) {
  if (!file.ends_with(magic)) return {file, {}};
  string_view rest = file.substr(0, file.size() - magic.size());
  const auto fail = [&](const char* what) { throw Error(fmt::format("{}: its signature is damaged: {}", name, what)); };
  if (rest.size() < trailer_size) fail("it is cut off");
  const auto trailer = std::as_bytes(std::span(rest).last(trailer_size));
  rest.remove_suffix(trailer_size);
  for (size_t i = 0; i < 8; ++i)
    if (std::to_integer<unsigned>(trailer[i]) != (i == 2 ? pkcs7 : 0U)) fail("its description isn't one of PKCS#7");
  const uint64_t size = number_of(trailer.subspan(8), true);
  if (size == 0 || size >= rest.size()) fail("its size is more than the file has");
  return {rest.substr(0, rest.size() - size), rest.substr(rest.size() - size)};
}

string_view without_signatures(string_view file, const std::string& name) {
  SignedModule module = split_signature(file, name);
  while (!module.cms.empty()) module = split_signature(module.content, name);
  return module.content;
}

void require_livepatch(string_view file, const std::string& name) {
  const auto image = std::as_bytes(std::span(without_signatures(file, name)));
  if (is_compressed(image)) throw Error(fmt::format("{}: it is compressed; unpack it first", name));
  const ElfFile elf(image, name);
  bool livepatch = false;
  for (const ElfSection& section : elf.sections())
    if (section.name == ".modinfo")
      livepatch = livepatch || std::ranges::count(modinfo_values(section.contents, "livepatch"), "Y") > 0;
  if (!livepatch) throw Error(fmt::format("{}: it is no livepatch: its .modinfo lacks livepatch=Y", name));
  // A signature with something behind it isn't seen by the kernel, and would be signed as if it were the module.
  if (image.size() > (end_of(elf) + 7) / 8 * 8)
    throw Error(fmt::format("{}: {} bytes lie behind the module's end, and they are no signature", name,
                            image.size() - end_of(elf)));
}

std::string sign_module(string_view file, const std::string& name, const Signer& signer, Hash hash) {
  const string_view content = without_signatures(file, name);
  const Bio data = bio_of(content);
  const Cms cms(
      CMS_sign(nullptr, nullptr, nullptr, nullptr, CMS_NOCERTS | CMS_PARTIAL | CMS_BINARY | CMS_DETACHED | CMS_STREAM));
  if (!cms ||
      CMS_add1_signer(cms.get(), signer.certificate().get(), signer.key(), digest_of(hash),
                      CMS_NOCERTS | CMS_BINARY | CMS_NOSMIMECAP | CMS_NOATTR) == nullptr ||
      CMS_final(cms.get(), data.get(), nullptr, CMS_NOCERTS | CMS_BINARY) != 1)
    openssl_failed(fmt::format("{}: it can't be signed", name));
  const Bio der(BIO_new(BIO_s_mem()));
  if (!der || i2d_CMS_bio(der.get(), cms.get()) != 1) openssl_failed(fmt::format("{}: it can't be signed", name));
  const string_view bytes = bytes_of(der);
  std::string result;
  result.reserve(content.size() + bytes.size() + trailer_size + magic.size());
  return result.append(content).append(bytes).append(trailer_of(bytes.size())).append(magic);
}

void sign_file(const SignRequest& request, const Signer& signer) {
  const std::string name = request.file.string();
  const std::string file = read_file(request.file);
  if (!request.any) require_livepatch(file, name);
  const std::string made = sign_module(file, name, signer, request.hash);
  // What doesn't verify here would show on the machine that is to be patched.
  if (verify_module(made, std::span(&signer.certificate(), 1)).state != SignatureState::good)
    throw Error(fmt::format("{}: the signature that was made doesn't verify", name));
  replace(request, made);
}

void strip_file(const SignRequest& request) {
  const std::string file = read_file(request.file);
  replace(request, without_signatures(file, request.file.string()));
}

Verdict verify_module(string_view file, std::span<const Certificate> trusted) {
  SignedModule module;
  try {
    module = split_signature(file, "");
  } catch (const Error&) {
    return bad("has a damaged signature");
  }
  if (file.size() > INT_MAX) return bad("is too large");
  Verdict verdict = judge(module, trusted);
  ERR_clear_error();
  return verdict;
}

}  // namespace kpatch
