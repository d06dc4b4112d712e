// kpatch-deploy: brings a livepatch to a machine, or step by step to many.
#include <fmt/format.h>
#include <getopt.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "deploy/deploy.h"
#include "support/error.h"
#include "support/standard-output.h"
#include "support/text.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;

constexpr const char* help =
    "kpatch-deploy aws|gcp|azure VM MODULE    through the VM's agent; ARTIFACT_DIR as for cvm-cli\n"
    "kpatch-deploy ssh HOST MODULE            by ssh, scp and the host's kpatch\n"
    "kpatch-deploy --hosts FILE MODULE        to all of them, step by step; a line of the file is \"ssh HOST\" or "
    "\"gcp VM\"\n\n"
    "  --steps N,…        how many percent have it after each step; then all (default: 10,20,40,60)\n"
    "  --stop-at N        no step begins once so many machines have failed (default: 1)\n"
    "  --pause SECONDS    between steps (default: 0)\n"
    "  -j, --jobs N       machines at a time (default: 8)\n"
    "  --sudo             ssh: the user there isn't root\n"
    "  --install          ssh: also keep it for the next start of the host\n"
    "  --cacert FILE, --insecure, --port N, --timeout N   as for cvm-cli\n"
    "  --version, -h, --help\n\n"
    "Exit: 0 in effect; 1 wrong usage, or a file; 2 refused; 3 unreachable, nothing was sent; 4 failed there; 5 the "
    "connection\n"
    "broke, and nobody knows; with --hosts 7 stopped, or not everywhere.\n";

struct Options {
  std::vector<std::string> words;
  std::string hosts;
  RolloutOptions rollout;
  DeliveryOptions delivery;
  bool ends = false;
};

unsigned number_of(const char* option, std::string_view text, unsigned least, unsigned most) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    throw Error(fmt::format("{} {}: it is a number from {} to {}", option, text, least, most));
  return value;
}

std::vector<unsigned> steps_of_text(std::string_view text) {
  std::vector<unsigned> percents;
  for (const std::string_view field : fields_of(text, ',')) percents.push_back(number_of("--steps", field, 1, 100));
  if (percents.empty() || !std::ranges::is_sorted(percents)) throw Error("--steps: percents grow, as in 10,20,40,60");
  return percents;
}

bool take(int letter, Options& options) {
  AgentAccess& access = options.delivery.access;
  switch (letter) {
    case 'H':
      options.hosts = optarg;
      return true;
    case 's':
      options.rollout.percents = steps_of_text(optarg);
      return true;
    case 'S':
      options.rollout.stop_at = number_of("--stop-at", optarg, 1, 1000000);
      return true;
    case 'P':
      options.rollout.pause = std::chrono::seconds(number_of("--pause", optarg, 0, 86400));
      return true;
    case 'j':
      options.rollout.jobs = number_of("--jobs", optarg, 1, 256);
      return true;
    case 'u':
      options.delivery.sudo = true;
      return true;
    case 'i':
      options.delivery.install = true;
      return true;
    case 'c':
      access.certificate = optarg;
      return true;
    case 'k':
      access.insecure = true;
      return true;
    case 'p':
      access.port = static_cast<int>(number_of("--port", optarg, 1, 65535));
      return true;
    case 'T':
      access.limit = std::chrono::seconds(number_of("--timeout", optarg, 1, 86400));
      return true;
    default:
      return false;
  }
}

Options parse(int argc, char** argv) {
  const option known[] = {{"hosts", required_argument, nullptr, 'H'},   {"steps", required_argument, nullptr, 's'},
                          {"stop-at", required_argument, nullptr, 'S'}, {"pause", required_argument, nullptr, 'P'},
                          {"jobs", required_argument, nullptr, 'j'},    {"sudo", no_argument, nullptr, 'u'},
                          {"install", no_argument, nullptr, 'i'},       {"cacert", required_argument, nullptr, 'c'},
                          {"insecure", no_argument, nullptr, 'k'},      {"port", required_argument, nullptr, 'p'},
                          {"timeout", required_argument, nullptr, 'T'}, {"version", no_argument, nullptr, 'V'},
                          {"help", no_argument, nullptr, 'h'},          {nullptr, 0, nullptr, 0}};
  Options options;
  for (int letter = 0; (letter = getopt_long(argc, argv, "j:h", known, nullptr)) != -1;) {
    if (take(letter, options)) continue;
    if (letter != 'h' && letter != 'V') throw Error("see kpatch-deploy --help");
    std::fputs(letter == 'h' ? help : "kpatch-deploy " KPATCH_VERSION "\n", stdout);
    options.ends = true;
    return options;
  }
  options.words.assign(argv + optind, argv + argc);
  if (options.words.size() != (options.hosts.empty() ? 3 : 1))
    throw Error("give a way, a machine and a module, or --hosts FILE and a module; see kpatch-deploy --help");
  if (!fs::is_regular_file(options.words.back()))
    throw Error(fmt::format("{}: there is no such file", options.words.back()));
  return options;
}

void tell(const Machine& machine, const DeliveryReport& report) {
  const bool good = report.outcome == Delivered::loaded;
  std::fputs(fmt::format("{}{} {}: {}\n", good ? "" : "error: ", machine.way, machine.name, report.message).c_str(),
             good ? stdout : stderr);
  std::fflush(stdout);
}

int deploy_to_many(const Options& options) {
  const std::vector<Machine> machines = read_machines(options.hosts);
  const Rollout rollout = roll_out(
      machines, options.rollout,
      [&](const Machine& machine) { return deliver(machine, options.words.back(), options.delivery); }, tell);
  const auto good = std::ranges::count_if(
      rollout.tried, [](const auto& result) { return result.second.outcome == Delivered::loaded; });
  std::fputs(fmt::format("{} of {} machines have it, {} failed, {} weren't tried\n", good, machines.size(),
                         rollout.tried.size() - static_cast<size_t>(good), rollout.left.size())
                 .c_str(),
             stdout);
  return static_cast<size_t>(good) == machines.size() ? exit_ok : 7;
}

int run(const Options& options) {
  if (options.ends) return exit_ok;
  if (!options.hosts.empty()) return deploy_to_many(options);
  const Machine machine = machine_of(options.words[0], options.words[1]);
  const DeliveryReport report = deliver(machine, options.words[2], options.delivery);
  tell(machine, report);
  return static_cast<int>(report.outcome);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    return after_output(run(options), options.ends ? LostOutput::fails : LostOutput::warns);
  } catch (const std::exception& error) {
    std::fputs(fmt::format("error: {}\n", error.what()).c_str(), stderr);
    return exit_error;
  }
}
