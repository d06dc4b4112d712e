// The commands of the guide for confidential machines, with its folders and files:
//
//     cvm-cli generate-livepatch-keys          secure_boot/livepatch.key, .pem, .crt
//     cvm-cli sign-livepatch fix.ko            … with those, in place
//     cvm-cli livepatch gcp my-vm fix.ko       to the agent at _artifacts/gcp_my-vm_ip, with the token of gcp_my-vm_token
//
// The guide's own client takes any certificate, and shows the token to everybody who lists processes. Here the
// certificate is _artifacts/gcp_my-vm_cert where that file is there, or --cacert's; --insecure asks for the guide's way.
#include <fmt/format.h>
#include <getopt.h>

#include <charconv>
#include <cstdio>
#include <thread>
#include <vector>

#include "deploy/deploy.h"
#include "sign/sign.h"
#include "support/error.h"
#include "support/files.h"
#include "support/standard-output.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr const char* help =
    "cvm-cli generate-livepatch-keys [--force] [--type TYPE]   keys in secure_boot/\n"
    "cvm-cli sign-livepatch MODULE [--any]                     sign it with them, in place\n"
    "cvm-cli livepatch aws|gcp|azure VM MODULE [OPTION…]       load it on the VM, through its agent\n\n"
    "  --force           replace keys that are there\n"
    "  --type TYPE       rsa4096 (default), rsa3072 or p384\n"
    "  --any             sign what isn't a livepatch\n"
    "  --cacert FILE     the agent's certificate, or an authority's (default: PROVIDER_VM_cert beside the token, if "
    "it\n"
    "                    is there; else the system's authorities)\n"
    "  --insecure        take any certificate\n"
    "  --measurements    fetch the golden measurements afterwards, into golden-measurements/\n"
    "  --port N          of the agent (default: 8000)\n"
    "  --timeout N       seconds to wait for the answer (default: 300)\n"
    "  --version, -h, --help\n\n"
    "ARTIFACT_DIR (default: _artifacts) has PROVIDER_VM_ip and PROVIDER_VM_token.\n"
    "Exit: 0 done; 1 wrong usage, or a file; 2 the agent refused it; 3 the agent can't be reached, nothing was sent;\n"
    "4 it failed on the VM; 5 the connection broke, and nobody knows; 6 in effect, without its measurements.\n";

struct GuideOptions {
  std::vector<std::string> words;
  KeyRequest keys;
  AgentAccess access;
  bool any = false, measurements = false, ends = false;
};

void say(const std::string& line) {
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

int number_of(const char* option, const std::string& text, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > most)
    throw Error(fmt::format("{} {}: it is a number from 1 to {}", option, text, most));
  return value;
}

GuideOptions parse(int argc, char** argv) {
  const option known[] = {{"force", no_argument, nullptr, 'f'},
                          {"type", required_argument, nullptr, 't'},
                          {"any", no_argument, nullptr, 'a'},
                          {"cacert", required_argument, nullptr, 'c'},
                          {"insecure", no_argument, nullptr, 'k'},
                          {"measurements", no_argument, nullptr, 'm'},
                          {"port", required_argument, nullptr, 'p'},
                          {"timeout", required_argument, nullptr, 'T'},
                          {"version", no_argument, nullptr, 'V'},
                          {"help", no_argument, nullptr, 'h'},
                          {nullptr, 0, nullptr, 0}};
  GuideOptions options;
  for (int letter = 0; (letter = getopt_long(argc, argv, "h", known, nullptr)) != -1;) {
    switch (letter) {
      case 'f':
        options.keys.force = true;
        break;
      case 't':
        if (!key_kind_of(optarg)) throw Error(fmt::format("--type {}: it is rsa4096, rsa3072 or p384", optarg));
        options.keys.kind = *key_kind_of(optarg);
        break;
      case 'a':
        options.any = true;
        break;
      case 'c':
        options.access.certificate = optarg;
        break;
      case 'k':
        options.access.insecure = true;
        break;
      case 'm':
        options.measurements = true;
        break;
      case 'p':
        options.access.port = number_of("--port", optarg, 65535);
        break;
      case 'T':
        options.access.limit = std::chrono::seconds(number_of("--timeout", optarg, 86400));
        break;
      case 'V':
      case 'h':
        std::fputs(letter == 'h' ? help : "cvm-cli " KPATCH_VERSION "\n", stdout);
        options.ends = true;
        return options;
      default:
        throw Error("see cvm-cli --help");
    }
  }
  options.words.assign(argv + optind, argv + argc);
  options.keys.folder = "secure_boot";
  return options;
}

int generate(const GuideOptions& options) {
  if (options.words.size() != 1) throw Error("usage: cvm-cli generate-livepatch-keys [--force] [--type TYPE]");
  const KeyFiles files = key_files(options.keys.folder);
  if (!generate_keys(options.keys)) {
    say(fmt::format("Livepatch keys are in {} already; they stay (--force replaces them).",
                    options.keys.folder.string()));
    return exit_ok;
  }
  // It was packed with the keys before these.
  fs::remove(options.keys.folder / "aws-uefi-blob.bin");
  say(fmt::format("Livepatch keys: {}, {}", files.key.string(), files.der.string()));
  return exit_ok;
}

int sign(const GuideOptions& options) {
  if (options.words.size() != 2) throw Error("usage: cvm-cli sign-livepatch MODULE [--any]");
  const KeyFiles files = key_files(options.keys.folder);
  if (!files.complete())
    throw Error(
        fmt::format("{} and {} are missing: run cvm-cli generate-livepatch-keys; VMs that were deployed before must be "
                    "deployed again, since they don't know the new key",
                    files.key.string(), files.der.string()));
  sign_file({.file = options.words[1], .to = {}, .any = options.any}, Signer::open(files.key.string(), files.der));
  say(fmt::format("Signed livepatch: {}", options.words[1]));
  return exit_ok;
}

// False: it isn't to be had.
bool fetch_measurement(const Agent& agent, const std::string& kind, const fs::path& to) {
  for (int left = 10;;) {
    const Agent::Answer answer = agent.get(fmt::format("/{}/golden-measurement", kind));
    if (answer.status == 200) {
      fs::create_directories(to.parent_path());
      write_file(to, answer.body);
      say(fmt::format("Golden measurement ({}): {}", kind, to.string()));
      return true;
    }
    const std::string why = answer.status == 0 ? answer.error : fmt::format("status {}", answer.status);
    const bool may_come = answer.status == 0 || answer.status == 429 || answer.status >= 500;
    if (!may_come || --left == 0) {
      std::fputs(fmt::format("error: no golden measurement ({}): {}\n", kind, why).c_str(), stderr);
      return false;
    }
    say(fmt::format("Golden measurement ({}): {}; once more in 30 s", kind, why));
    std::this_thread::sleep_for(std::chrono::seconds(30));
  }
}

bool fetch_measurements(AgentAccess access, const std::string& machine) {
  access.limit = std::chrono::seconds(60);
  const Agent agent(access, [](std::string_view) {});
  bool all = true;
  for (const char* kind : {"offchain", "onchain"})
    all = fetch_measurement(agent, kind, artifact_folder() / "golden-measurements" / kind / (machine + ".json")) && all;
  return all;
}

int livepatch(const GuideOptions& options) {
  if (options.words.size() != 4) throw Error("usage: cvm-cli livepatch aws|gcp|azure VM MODULE");
  if (!is_provider(options.words[1]))
    throw Error(fmt::format("{}: the provider is aws, gcp or azure", options.words[1]));
  const Machine vm = machine_of(options.words[1], options.words[2]);
  const fs::path file = options.words[3];
  DeliveryOptions delivery;
  delivery.access = options.access;
  delivery.tell = [](std::string_view line) { say(std::string(line)); };
  const DeliveryReport report = deliver_to_vm(vm, file, delivery);
  if (report.outcome != Delivered::loaded) {
    std::fputs((report.message + "\n").c_str(), stderr);
    return static_cast<int>(report.outcome);
  }
  if (!report.message.empty()) say(report.message);
  say(fmt::format("Livepatch {} is in effect on {}.", file.filename().string(), vm.name));
  const bool complete =
      !options.measurements || fetch_measurements(access_of(vm, options.access), vm.way + "-" + vm.name);
  return complete ? exit_ok : 6;
}

}  // namespace

int run_guide(int argc, char** argv) {
  const GuideOptions options = parse(argc, argv);
  if (options.ends) return after_output(exit_ok);
  if (options.words.empty()) throw Error("no command; see cvm-cli --help");
  const std::string& command = options.words.front();
  if (command == "generate-livepatch-keys") return after_output(generate(options));
  if (command == "sign-livepatch") return after_output(sign(options));
  if (command == "livepatch") return after_output(livepatch(options), LostOutput::warns);
  throw Error(fmt::format("{} is no command; see cvm-cli --help", command));
}

}  // namespace kpatch
