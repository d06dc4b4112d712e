// A kernel trusts a module's signature when its certificate is in a keyring, and on a machine that isn't ours the way to
// get it there is the firmware: the db of UEFI's Secure Boot, or the list of a machine's owner that shim keeps.
//
//     aws     livepatch.esl    a UEFI signature list, which uefivars packs into the image's variables
//     gcp     livepatch.der    DER, listed when the image is made
//     azure   livepatch.json   the part of a gallery image's version that adds it to db
//     mok     livepatch.der    DER, which mokutil takes
//
// Cloud programs aren't run: they want accounts and names that only the user has. A signature list is
//
//     GUID a5c059a1-… (X.509) ‖ u32 size of the list ‖ u32 0 ‖ u32 16 + n ‖ owner's GUID ‖ DER (n bytes)
//
// in little endian, one for each certificate, since entries of one list are all of one size.
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "sign/sign.h"
#include "support/bytes.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::string_view;

constexpr string_view x509_guid = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072";

constexpr std::array<std::pair<string_view, Firmware>, 4> names = {
    {{"aws", Firmware::aws}, {"gcp", Firmware::gcp}, {"azure", Firmware::azure}, {"mok", Firmware::mok}}};

std::string base64(string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

std::string azure_fragment(std::span<const Certificate> certificates) {
  json db = json::array();
  for (const Certificate& certificate : certificates)
    db.push_back({{"type", "x509"}, {"value", json::array({base64(certificate.der())})}});
  const json fragment = {{"securityProfile",
                          {{"uefiSettings",
                            {{"signatureTemplateNames", json::array({"MicrosoftUefiCertificateAuthorityTemplate"})},
                             {"additionalSignatures", {{"db", std::move(db)}}}}}}}};
  return fragment.dump(2) + "\n";
}

// A file for each certificate: livepatch.der, livepatch-2.der …
std::vector<fs::path> write_der(std::span<const Certificate> certificates, const fs::path& folder) {
  std::vector<fs::path> files;
  for (const Certificate& certificate : certificates) {
    files.push_back(folder / (files.empty() ? "livepatch.der" : fmt::format("livepatch-{}.der", files.size() + 1)));
    write_file(files.back(), certificate.der());
  }
  return files;
}

std::string list_of(const std::vector<fs::path>& files, string_view separator) {
  std::vector<std::string> texts;
  for (const fs::path& file : files) texts.push_back(file.string());
  return joined(texts, separator);
}

}  // namespace

std::optional<Firmware> firmware_of(string_view name) {
  for (const auto& [known, firmware] : names)
    if (known == name) return firmware;
  return std::nullopt;
}

std::optional<Guid> guid_of(string_view text) {
  std::vector<uint8_t> bytes;
  size_t digits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    int digit = 0;
    if (std::from_chars(&text[i], &text[i] + 1, digit, 16).ec != std::errc()) return std::nullopt;
    if (digits++ % 2 == 0)
      bytes.push_back(static_cast<uint8_t>(digit << 4));
    else
      bytes.back() = static_cast<uint8_t>(bytes.back() | digit);
  }
  if (text.size() != 36 || bytes.size() != 16) return std::nullopt;
  // Its first three numbers are little endian.
  std::reverse(bytes.begin(), bytes.begin() + 4);
  std::swap(bytes[4], bytes[5]);
  std::swap(bytes[6], bytes[7]);
  Guid guid;
  std::ranges::copy(bytes, guid.begin());
  return guid;
}

std::string efi_signature_lists(std::span<const Certificate> certificates, const Guid& owner) {
  const Guid type = *guid_of(x509_guid);
  std::vector<std::byte> bytes;
  const auto append = [&](std::span<const std::byte> more) { bytes.insert(bytes.end(), more.begin(), more.end()); };
  for (const Certificate& certificate : certificates) {
    const std::string der = certificate.der();
    const size_t entry = owner.size() + der.size();
    append(std::as_bytes(std::span(type)));
    append_number(bytes, type.size() + 12 + entry, 4, false);
    append_number(bytes, 0, 4, false);
    append_number(bytes, entry, 4, false);
    append(std::as_bytes(std::span(owner)));
    append(std::as_bytes(std::span(der)));
  }
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Enrolment enrol(std::span<const Certificate> certificates, Firmware firmware, const fs::path& folder,
                const Guid& owner) {
  fs::create_directories(folder);
  Enrolment result;
  switch (firmware) {
    case Firmware::aws:
      result.files = {folder / "livepatch.esl"};
      write_file(result.files.front(), efi_signature_lists(certificates, owner));
      result.advice = fmt::format(
          "append it to the db of the image, and register that (db is fixed from then on):\n"
          "  cat db.esl {} >all.esl\n"
          "  uefivars.py -i none -o aws -O blob -P PK.esl -K KEK.esl --db all.esl --dbx dbx.esl\n"
          "  aws ec2 register-image --boot-mode uefi --uefi-data \"$(cat blob)\" ...",
          list_of(result.files, " "));
      break;
    case Firmware::gcp:
      result.files = write_der(certificates, folder);
      result.advice = fmt::format(
          "a db that is given takes the place of Google's: list Microsoft's certificates of 2011 and 2023 too\n"
          "  gcloud compute images create ... --signature-database-file=db.crt,{}",
          list_of(result.files, ","));
      break;
    case Firmware::azure:
      result.files = {folder / "livepatch.json"};
      write_file(result.files.front(), azure_fragment(certificates));
      result.advice =
          "put it into \"properties\" of the gallery image's version (REST, PUT .../galleries/.../versions/...); it "
          "adds "
          "to Microsoft's db";
      break;
    case Firmware::mok:
      result.files = write_der(certificates, folder);
      result.advice =
          fmt::format("on the machine, and confirm it at the console of the next start:\n  mokutil --import {}",
                      list_of(result.files, " "));
      break;
  }
  return result;
}

}  // namespace kpatch
