// kpatch-keys: makes the keys that livepatches are signed with, and what one tells firmware of them by.
#include <fmt/format.h>
#include <getopt.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "sign/sign.h"
#include "support/error.h"
#include "support/standard-output.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;

constexpr const char* help =
    "kpatch-keys generate [-o DIR] [OPTION…]                    livepatch.key, livepatch.pem, livepatch.crt\n"
    "kpatch-keys enroll --for aws|gcp|azure|mok [-o DIR] [CERT…]  what firmware takes; default: livepatch.crt in "
    "DIR\n\n"
    "  -o, --output DIR  where files go; made if missing (default: here)\n"
    "  --type TYPE       rsa4096 (default), rsa3072 or p384\n"
    "  --name NAME       of the certificate (default: Livepatch Key)\n"
    "  --days N          that it is valid for (default: 3650); kernels don't look at it\n"
    "  --force           replace keys that are there\n"
    "  --for WHERE       aws: signature list for uefivars; gcp: DER; azure: JSON; mok: DER for mokutil\n"
    "  --owner GUID      of the signature list's entries (default: zeros)\n"
    "  --version, -h, --help\n\n"
    "Exit: 0 done, or the keys are there already; 1 error.\n";

struct Options {
  std::string command;
  KeyRequest keys;
  std::optional<Firmware> firmware;
  Guid owner{};
  std::vector<fs::path> certificates;
};

template <typename T>
T known_or_fail(std::optional<T> value, const char* option, const char* kinds) {
  if (!value) throw Error(fmt::format("{} {}: it is {}", option, optarg, kinds));
  return *value;
}

int days_of(const std::string& text) {
  int days = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), days);
  if (error != std::errc() || end != text.data() + text.size() || days < 1 || days > 36500)
    throw Error(fmt::format("--days {}: it is a number from 1 to 36500", text));
  return days;
}

Options parse(int argc, char** argv) {
  const option known[] = {{"output", required_argument, nullptr, 'o'}, {"type", required_argument, nullptr, 't'},
                          {"name", required_argument, nullptr, 'n'},   {"days", required_argument, nullptr, 'd'},
                          {"force", no_argument, nullptr, 'f'},        {"for", required_argument, nullptr, 'F'},
                          {"owner", required_argument, nullptr, 'O'},  {"version", no_argument, nullptr, 'V'},
                          {"help", no_argument, nullptr, 'h'},         {nullptr, 0, nullptr, 0}};
  Options options;
  options.keys.folder = ".";
  for (int letter = 0; (letter = getopt_long(argc, argv, "o:h", known, nullptr)) != -1;) {
    switch (letter) {
      case 'o':
        options.keys.folder = optarg;
        break;
      case 't':
        options.keys.kind = known_or_fail(key_kind_of(optarg), "--type", "rsa4096, rsa3072 or p384");
        break;
      case 'n':
        options.keys.name = optarg;
        break;
      case 'd':
        options.keys.days = days_of(optarg);
        break;
      case 'f':
        options.keys.force = true;
        break;
      case 'F':
        options.firmware = known_or_fail(firmware_of(optarg), "--for", "aws, gcp, azure or mok");
        break;
      case 'O':
        options.owner = known_or_fail(guid_of(optarg), "--owner", "a GUID");
        break;
      case 'V':
      case 'h':
        std::fputs(letter == 'h' ? help : "kpatch-keys " KPATCH_VERSION "\n", stdout);
        return options;
      default:
        throw Error("see kpatch-keys --help");
    }
  }
  if (optind == argc) throw Error("generate or enroll? See kpatch-keys --help");
  options.command = argv[optind];
  options.certificates.assign(argv + optind + 1, argv + argc);
  if (options.command != "generate" && options.command != "enroll")
    throw Error(fmt::format("{} is no command; see kpatch-keys --help", options.command));
  if (options.command == "generate" && !options.certificates.empty())
    throw Error(fmt::format("kpatch-keys generate takes no \"{}\"", options.certificates.front().string()));
  if (options.command == "enroll" && !options.firmware) throw Error("--for is missing: aws, gcp, azure or mok");
  return options;
}

int generate(const Options& options) {
  const KeyFiles files = key_files(options.keys.folder);
  if (!generate_keys(options.keys)) {
    std::fputs(fmt::format("{} is there already; --force replaces it\n", files.key.string()).c_str(), stdout);
    return exit_ok;
  }
  for (const fs::path& file : {files.key, files.pem, files.der}) std::fputs((file.string() + "\n").c_str(), stdout);
  return exit_ok;
}

int enroll(const Options& options) {
  std::vector<Certificate> certificates;
  for (const fs::path& file : options.certificates)
    for (Certificate& certificate : read_certificates(file)) certificates.push_back(std::move(certificate));
  if (certificates.empty()) certificates.push_back(read_certificate(key_files(options.keys.folder).der));
  const Enrolment made = enrol(certificates, *options.firmware, options.keys.folder, options.owner);
  for (const fs::path& file : made.files) std::fputs((file.string() + "\n").c_str(), stdout);
  std::fputs(fmt::format(">>> {}\n", made.advice).c_str(), stderr);
  return exit_ok;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    if (options.command == "generate") return after_output(generate(options));
    if (options.command == "enroll") return after_output(enroll(options));
    return after_output(exit_ok);
  } catch (const std::exception& error) {
    std::fputs(fmt::format("error: {}\n", error.what()).c_str(), stderr);
    return exit_error;
  }
}
