// kpatch-attest: what a machine will have measured of a livepatch, and whether what it has measured is right.
#include <fmt/format.h>
#include <getopt.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attest/attest.h"
#include "kpatch/kpatch.h"
#include "support/error.h"
#include "support/files.h"
#include "support/sha256.h"
#include "support/standard-output.h"
#include "support/text.h"

namespace {

using namespace kpatch;
using nlohmann::json;

constexpr const char help[] = R"(kpatch-attest expect [--path PATH] KO…
kpatch-attest verify --key PEM --quote FILE --signature FILE --nonce HEX --events FILE --allow FILE… [OPTION…]
kpatch-attest verify … --ima FILE --pcr N --allow FILE…

expect prints, as JSON, what will be measured of livepatches that are loaded in this order:
  sha256            of each file
  pcr               what a register holds that kpatch-agent extends (its --pcr), after each
  rtmr              the same of a register of TDX, by SHA-384, which begins with zeros
  ima               the digest of the kernel's own log, and of its register, for a file at PATH

  --path PATH       where the kernel will read the file (default: where kpatch install puts it)

verify replays a log against a quote that tpm2_quote made of one SHA-256 register:
  --key PEM         the attestation key, whose trust is yours to establish
  --quote FILE, --signature FILE   tpm2_quote -m and -s
  --nonce HEX       that was given to tpm2_quote -q
  --events FILE     kpatch-agent's events.jsonl
  --boot ID         of it, that boot (default: the last)
  --ima FILE        /sys/kernel/security/ima/binary_runtime_measurements, in place of --events
  --pcr N           the quote must be of that register (default: any; with --ima 10)
  --allow FILE      digests as sha256sum prints them; repeatable
  --all             with --ima: each entry must be allowed, not only kernel modules
  --json            the answer for programs
  --version, -h, --help

Exit: 0 as it should be; 1 it isn't, each reason is named; 2 the question can't be answered.
)";

struct Options {
  std::string command, key, quote, signature, nonce, events, boot, ima, path;
  std::vector<std::string> allow, files;
  int pcr = -1;
  bool all = false, json = false, ends = false;
};

unsigned short_number(const std::string& text) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value > 23) throw Error(fmt::format("--pcr {}: a TPM has 0 to 23", text));
  return static_cast<unsigned>(value);
}

Options parse(int argc, char** argv) {
  const option known[] = {{"key", 1, nullptr, 'k'},     {"quote", 1, nullptr, 'q'},  {"signature", 1, nullptr, 's'},
                          {"nonce", 1, nullptr, 'n'},   {"events", 1, nullptr, 'e'}, {"boot", 1, nullptr, 'b'},
                          {"ima", 1, nullptr, 'i'},     {"pcr", 1, nullptr, 'p'},    {"allow", 1, nullptr, 'a'},
                          {"all", 0, nullptr, 'A'},     {"json", 0, nullptr, 'j'},   {"path", 1, nullptr, 'P'},
                          {"version", 0, nullptr, 'V'}, {"help", 0, nullptr, 'h'},   {nullptr, 0, nullptr, 0}};
  Options options;
  for (int letter = 0; (letter = getopt_long(argc, argv, "h", known, nullptr)) != -1;) {
    const std::string value = optarg != nullptr ? optarg : "";
    switch (letter) {
      case 'k':
        options.key = value;
        break;
      case 'q':
        options.quote = value;
        break;
      case 's':
        options.signature = value;
        break;
      case 'n':
        options.nonce = value;
        break;
      case 'e':
        options.events = value;
        break;
      case 'b':
        options.boot = value;
        break;
      case 'i':
        options.ima = value;
        break;
      case 'p':
        options.pcr = static_cast<int>(short_number(value));
        break;
      case 'a':
        options.allow.push_back(value);
        break;
      case 'A':
        options.all = true;
        break;
      case 'j':
        options.json = true;
        break;
      case 'P':
        options.path = value;
        break;
      case 'h':
      case 'V':
        std::fputs(letter == 'h' ? help : "kpatch-attest " KPATCH_VERSION "\n", stdout);
        options.ends = true;
        return options;
      default:
        throw Error("see kpatch-attest --help");
    }
  }
  if (optind < argc) options.command = argv[optind++];
  options.files.assign(argv + optind, argv + argc);
  return options;
}

int expect(const Options& options) {
  if (options.files.empty()) throw Error("expect: no module is given; see kpatch-attest --help");
  if (!options.path.empty() && options.files.size() > 1) throw Error("--path is of one module");
  PcrValue value(32, '\0');
  std::string rtmr(48, '\0');
  json list = json::array();
  for (const std::string& file : options.files) {
    const ModuleFile module = read_module(file);
    const std::string bytes = read_file(file), sha256 = sha256_of(bytes);
    const Measured entry =
        read_events(json{{"event", "measured"}, {"boot_id", ""}, {"sha256", sha256}}.dump(), "").front();
    value = extended(value, entry.extends);
    rtmr = bytes_of_hex(sha384_of(rtmr + bytes_of_hex(sha384_of(bytes))));
    const std::string path = options.path.empty()
                                 ? fmt::format("/var/lib/kpatch/{}/{}", module.release, installed_file_name(module))
                                 : options.path;
    list.push_back(
        {{"file", module.path.filename().string()},
         {"name", module.name},
         {"release", module.release},
         {"sha256", sha256},
         {"pcr", hex_of(value)},
         {"rtmr", hex_of(rtmr)},
         {"ima",
          {{"template", "ima-sig"}, {"path", path}, {"template_sha256", hex_of(ima_template_digest(sha256, path))}}}});
  }
  std::fputs((list.dump(2) + "\n").c_str(), stdout);
  return 0;
}

std::string nonce_of(const std::string& text) {
  std::string bytes = bytes_of_hex(text);
  if (bytes.empty()) throw Error("--nonce: it isn't in hex digits");
  return bytes;
}

int verify(const Options& options) {
  for (const auto& [name, value] : {std::pair("--key", options.key),
                                    {"--quote", options.quote},
                                    {"--signature", options.signature},
                                    {"--nonce", options.nonce}})
    if (value.empty()) throw Error(fmt::format("verify: {} is missing; see kpatch-attest --help", name));
  if (options.events.empty() == options.ima.empty()) throw Error("verify: one of --events and --ima is needed");
  if (options.allow.empty()) throw Error("verify: --allow is missing: nothing would be allowed");
  if (!options.files.empty()) throw Error(fmt::format("verify: {} is no option", options.files.front()));
  std::set<std::string> allowed;
  for (const std::string& file : options.allow) allowed.merge(read_allow_list(read_file(file)));
  const int pcr = options.pcr < 0 && !options.ima.empty() ? 10 : options.pcr;
  const std::vector<Measured> measured = options.ima.empty()
                                             ? read_events(read_file(options.events), options.boot)
                                             : read_ima_log(read_file(options.ima), static_cast<unsigned>(pcr));
  // What isn't there is no answer; what is there and isn't right is one.
  const std::string nonce = nonce_of(options.nonce), signed_part = read_file(options.quote),
                    signature = read_file(options.signature), key = read_file(options.key);
  std::vector<std::string> reasons;
  Quote quote;
  try {
    quote = read_quote(signed_part, signature, key);
    reasons = against(quote, nonce, measured, allowed, options.all || options.ima.empty());
    if (pcr >= 0 && quote.pcr != static_cast<unsigned>(pcr))
      reasons.push_back(fmt::format("the quote is of PCR {}, and not of {}", quote.pcr, pcr));
  } catch (const Error& error) {
    reasons.emplace_back(error.what());
  }
  if (options.json) {
    json answer = {{"good", reasons.empty()},  {"reasons", reasons},     {"pcr", quote.pcr},
                   {"clock", quote.clock},     {"resets", quote.resets}, {"restarts", quote.restarts},
                   {"measured", json::array()}};
    for (const Measured& entry : measured)
      answer["measured"].push_back({{"name", entry.name}, {"sha256", entry.sha256}});
    std::fputs((answer.dump(2, ' ', false, json::error_handler_t::replace) + "\n").c_str(), stdout);
  } else {
    for (const std::string& reason : reasons) std::fputs(("error: " + reason + "\n").c_str(), stderr);
    if (reasons.empty())
      std::fputs(fmt::format("PCR {}: {} measured, all allowed\n", quote.pcr, measured.size()).c_str(), stdout);
  }
  return reasons.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    if (options.ends) return after_output(0);
    if (options.command == "expect") return after_output(expect(options));
    if (options.command == "verify") return after_output(verify(options));
    throw Error(options.command.empty() ? "no command is given; see kpatch-attest --help"
                                        : fmt::format("{} is no command; see kpatch-attest --help", options.command));
  } catch (const std::exception& error) {
    std::fputs(fmt::format("error: {}\n", error.what()).c_str(), stderr);
    return 2;
  }
}
