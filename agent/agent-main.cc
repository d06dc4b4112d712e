// kpatch-agent: takes livepatches over HTTPS, and loads those that are trusted.
#include <fmt/format.h>
#include <getopt.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "support/error.h"
#include "support/files.h"
#include "support/standard-output.h"
#include "support/text.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;

constexpr const char* help =
    "kpatch-agent [OPTION…]: loads livepatches that are sent to https://HERE:8000/livepatch\n\n"
    "  --listen ADDRESS:PORT  (default: 0.0.0.0:8000)\n"
    "  --tls-cert FILE, --tls-key FILE   PEM (default: tls.crt and tls.key in the configuration)\n"
    "  --no-tls               plain HTTP; for an address of this machine alone\n"
    "  --token-hash FILE      SHA-256 of the token, 64 hex digits (default: token_hash in the configuration)\n"
    "  --cert FILE            who may sign livepatches, repeatable (default: livepatch.crt in the configuration)\n"
    "  --config DIR           (default: /etc/kpatch-agent)\n"
    "  --state DIR            event log, and the livepatch in effect (default: /var/lib/kpatch-agent)\n"
    "  --max-size BYTES       of a module (default: 67108864)\n"
    "  --non-replace          take those that don't replace earlier ones\n"
    "  --wait SECONDS         for a transition (default: 60)\n"
    "  --health PROGRAM       run after a load, with KPATCH_MODULE; if it fails, what ran before is put back\n"
    "  --pcr N                extend this PCR of the TPM before a load, by tpm2_pcrextend\n"
    "  --pcr-program PROGRAM  … by another program\n"
    "  --rtmr FILE            extend this register of TDX before a load, by SHA-384; Linux 6.16 has them as\n"
    "                         /sys/devices/virtual/misc/tdx_guest/measurements/rtmrN:sha384\n"
    "  --kpatch PROGRAM       that loads (default: kpatch)\n"
    "  --version, -h, --help\n";

struct Options {
  AgentConfig agent;
  fs::path folder = "/etc/kpatch-agent";
  std::string tls_certificate, tls_key, token_hash;
  std::vector<std::string> certificates;
  bool tls = true, ends = false;
};

uint64_t number_of(const char* option, std::string_view text, uint64_t least, uint64_t most) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    throw Error(fmt::format("{} {}: it is a number from {} to {}", option, text, least, most));
  return value;
}

// "0.0.0.0:8000", "[::1]:8000"
void take_listen(const std::string& text, AgentConfig& config) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) throw Error(fmt::format("--listen {}: give ADDRESS:PORT", text));
  config.address = trimmed(std::string_view(text).substr(0, colon), "[]");
  config.port = static_cast<uint16_t>(number_of("--listen", std::string_view(text).substr(colon + 1), 0, 65535));
}

bool take(int letter, Options& options) {
  AgentConfig& agent = options.agent;
  switch (letter) {
    case 'l':
      take_listen(optarg, agent);
      return true;
    case 'c':
      options.tls_certificate = optarg;
      return true;
    case 'k':
      options.tls_key = optarg;
      return true;
    case 'n':
      options.tls = false;
      return true;
    case 't':
      options.token_hash = optarg;
      return true;
    case 's':
      options.certificates.emplace_back(optarg);
      return true;
    case 'C':
      options.folder = optarg;
      return true;
    case 'S':
      agent.state = optarg;
      return true;
    case 'm':
      agent.largest = number_of("--max-size", optarg, 1, uint64_t{1} << 30);
      return true;
    case 'R':
      agent.non_replace = true;
      return true;
    case 'w':
      agent.wait = std::chrono::seconds(number_of("--wait", optarg, 1, 86400));
      return true;
    case 'H':
      agent.health = optarg;
      return true;
    case 'p':
      agent.pcr = static_cast<int>(number_of("--pcr", optarg, 0, 23));
      return true;
    case 'P':
      agent.pcr_program = optarg;
      return true;
    case 'r':
      agent.rtmr = optarg;
      return true;
    case 'K':
      agent.kpatch = optarg;
      return true;
    default:
      return false;
  }
}

Options parse(int argc, char** argv) {
  const option known[] = {{"listen", required_argument, nullptr, 'l'},
                          {"tls-cert", required_argument, nullptr, 'c'},
                          {"tls-key", required_argument, nullptr, 'k'},
                          {"no-tls", no_argument, nullptr, 'n'},
                          {"token-hash", required_argument, nullptr, 't'},
                          {"cert", required_argument, nullptr, 's'},
                          {"config", required_argument, nullptr, 'C'},
                          {"state", required_argument, nullptr, 'S'},
                          {"max-size", required_argument, nullptr, 'm'},
                          {"non-replace", no_argument, nullptr, 'R'},
                          {"wait", required_argument, nullptr, 'w'},
                          {"health", required_argument, nullptr, 'H'},
                          {"pcr", required_argument, nullptr, 'p'},
                          {"pcr-program", required_argument, nullptr, 'P'},
                          {"rtmr", required_argument, nullptr, 'r'},
                          {"kpatch", required_argument, nullptr, 'K'},
                          {"version", no_argument, nullptr, 'V'},
                          {"help", no_argument, nullptr, 'h'},
                          {nullptr, 0, nullptr, 0}};
  Options options;
  for (int letter = 0; (letter = getopt_long(argc, argv, "h", known, nullptr)) != -1;) {
    if (take(letter, options)) continue;
    if (letter != 'h' && letter != 'V') throw Error("see kpatch-agent --help");
    std::fputs(letter == 'h' ? help : "kpatch-agent " KPATCH_VERSION "\n", stdout);
    options.ends = true;
    return options;
  }
  if (optind != argc) throw Error(fmt::format("{}: no argument is taken; see kpatch-agent --help", argv[optind]));
  return options;
}

std::string token_hash_of(const fs::path& file) {
  const std::string text = read_file(file);
  const std::string_view digits = trimmed(text);
  std::string bytes;
  if (digits.size() != 64 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos)
    throw Error(fmt::format("{}: it isn't the SHA-256 of a token: printf %s TOKEN | sha256sum", file.string()));
  for (size_t i = 0; i < 64; i += 2)
    bytes.push_back(static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  return bytes;
}

std::string read_tls(const std::string& given, const fs::path& usual, const fs::path& folder) {
  const fs::path file = given.empty() ? usual : fs::path(given);
  if (!fs::exists(file))
    throw Error(
        fmt::format("{} is missing; to make it: openssl req -x509 -newkey ec -pkeyopt "
                    "ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=kpatch-agent -keyout {}/tls.key -out "
                    "{}/tls.crt",
                    file.string(), folder.string(), folder.string()));
  return read_file(file);
}

AgentConfig complete(Options options) {
  AgentConfig config = std::move(options.agent);
  config.token_hash =
      token_hash_of(options.token_hash.empty() ? options.folder / "token_hash" : fs::path(options.token_hash));
  if (options.certificates.empty()) options.certificates.push_back((options.folder / "livepatch.crt").string());
  for (const std::string& file : options.certificates)
    for (Certificate& certificate : read_certificates(file)) config.trusted.push_back(std::move(certificate));
  if (options.tls) {
    config.tls_certificate = read_tls(options.tls_certificate, options.folder / "tls.crt", options.folder);
    config.tls_key = read_tls(options.tls_key, options.folder / "tls.key", options.folder);
  } else if (!config.address.starts_with("127.") && config.address != "::1") {
    throw Error(
        fmt::format("--no-tls: {} can be reached from elsewhere, and the token would be seen on the way; "
                    "--listen 127.0.0.1:7999",
                    config.address));
  }
  return config;
}

volatile std::sig_atomic_t stopped = 0;

void run(Options options) {
  std::signal(SIGPIPE, SIG_IGN);
  for (const int signal : {SIGTERM, SIGINT}) std::signal(signal, [](int) { stopped = 1; });
  AgentService service(complete(std::move(options)));
  const AgentServer server(service);
  std::fputs(fmt::format("listening at {}:{}\n", service.config().address, server.port()).c_str(), stderr);
  // The signal may reach another thread: this one looks.
  while (stopped == 0) {
    const timespec second = {1, 0};
    nanosleep(&second, nullptr);
  }
  std::fputs("stopping\n", stderr);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Options options = parse(argc, argv);
    if (!options.ends) run(std::move(options));
    return after_output(exit_ok);
  } catch (const std::exception& error) {
    std::fputs(fmt::format("error: {}\n", error.what()).c_str(), stderr);
    return exit_error;
  }
}
