// kpatch-sign: signs a livepatch as the kernel's own sign-file does, takes signatures off, verifies them.
#include <fmt/format.h>
#include <getopt.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "sign/sign.h"
#include "support/error.h"
#include "support/files.h"
#include "support/standard-output.h"

namespace {

using namespace kpatch;

constexpr const char* help =
    "kpatch-sign MODULE --key KEY --cert CERT [-o FILE]    sign a livepatch\n"
    "kpatch-sign MODULE --verify --cert CERT…              is it signed by one of these?\n"
    "kpatch-sign MODULE --strip [-o FILE]                  take its signatures off\n\n"
    "  -k, --key KEY     the private key: a PEM file, or a URI of PKCS#11 (pkcs11:token=…;object=…);\n"
    "                    its password or PIN is taken from KBUILD_SIGN_PIN\n"
    "  -c, --cert CERT   its certificate, PEM or DER; with --verify repeatable, and a PEM file may hold several\n"
    "  -o, --output FILE written whole or not at all (default: the module itself)\n"
    "  --hash NAME       sha256 (default), sha384 or sha512\n"
    "  --any             also what isn't a livepatch\n"
    "  --verify          look, and change nothing\n"
    "  --strip           only take them off\n"
    "  --version, -h, --help\n\n"
    "A signature that is there is replaced. Exit: 0 done, or the signature is good; 1 error; with --verify 2 not "
    "signed,\n"
    "3 with another key, 4 bad.\n";

struct Options {
  std::string module, key;
  std::vector<std::string> certificates;
  SignRequest request;
  bool verify = false, strip = false, ends = false;
};

Options parse(int argc, char** argv) {
  const option known[] = {{"key", required_argument, nullptr, 'k'},    {"cert", required_argument, nullptr, 'c'},
                          {"output", required_argument, nullptr, 'o'}, {"hash", required_argument, nullptr, 'H'},
                          {"any", no_argument, nullptr, 'a'},          {"verify", no_argument, nullptr, 'v'},
                          {"strip", no_argument, nullptr, 's'},        {"version", no_argument, nullptr, 'V'},
                          {"help", no_argument, nullptr, 'h'},         {nullptr, 0, nullptr, 0}};
  Options options;
  for (int letter = 0; (letter = getopt_long(argc, argv, "k:c:o:h", known, nullptr)) != -1;) {
    switch (letter) {
      case 'k':
        options.key = optarg;
        break;
      case 'c':
        options.certificates.emplace_back(optarg);
        break;
      case 'o':
        options.request.to = optarg;
        break;
      case 'H':
        if (!hash_of(optarg)) throw Error(fmt::format("--hash {}: it is sha256, sha384 or sha512", optarg));
        options.request.hash = *hash_of(optarg);
        break;
      case 'a':
        options.request.any = true;
        break;
      case 'v':
        options.verify = true;
        break;
      case 's':
        options.strip = true;
        break;
      case 'V':
      case 'h':
        std::fputs(letter == 'h' ? help : "kpatch-sign " KPATCH_VERSION "\n", stdout);
        options.ends = true;
        return options;
      default:
        throw Error("see kpatch-sign --help");
    }
  }
  if (argc - optind != 1) throw Error("name one module; see kpatch-sign --help");
  options.module = argv[optind];
  options.request.file = options.module;
  if (options.verify && options.strip) throw Error("--verify and --strip exclude each other");
  if (!options.strip && options.certificates.empty()) throw Error("--cert is missing; see kpatch-sign --help");
  if (!options.strip && !options.verify && (options.key.empty() || options.certificates.size() != 1))
    throw Error("to sign, give one --key and one --cert; see kpatch-sign --help");
  return options;
}

int verify(const Options& options) {
  std::vector<Certificate> trusted;
  for (const std::string& file : options.certificates)
    for (Certificate& certificate : read_certificates(file)) trusted.push_back(std::move(certificate));
  const Verdict verdict = verify_module(read_file(options.module), trusted);
  std::fputs(fmt::format("{} {}\n", options.module, verdict.message).c_str(),
             verdict.state == SignatureState::good ? stdout : stderr);
  const int codes[] = {0, 2, 3, 4};
  return codes[static_cast<size_t>(verdict.state)];
}

int run(const Options& options) {
  if (options.ends) return exit_ok;
  if (options.verify) return verify(options);
  if (options.strip) {
    strip_file(options.request);
    return exit_ok;
  }
  const Signer signer = Signer::open(options.key, options.certificates.front());
  sign_file(options.request, signer);
  const std::string to = options.request.to.empty() ? options.module : options.request.to.string();
  std::fputs(fmt::format("{}: signed by {}\n", to, signer.certificate().subject()).c_str(), stdout);
  return exit_ok;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return after_output(run(parse(argc, argv)));
  } catch (const std::exception& error) {
    std::fputs(fmt::format("error: {}\n", error.what()).c_str(), stderr);
    return exit_error;
  }
}
