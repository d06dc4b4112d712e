// kpatch-fleet: one fix, every kernel. `kpatch fleet` runs it.
#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "fleet/fleet.h"
#include "kernel/kernel.h"
#include "support/error.h"
#include "support/program.h"
#include "support/text.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;
namespace po = boost::program_options;

struct Given {
  std::vector<std::string> words, kernels;
  std::string output, age, key, certificate, package, store, store_key, store_certificate, archive, archive_key,
      compiler_launcher;
  std::vector<std::string> launchers, hosts;
  unsigned jobs = 0;
  int retries = -1, store_timeout = -1;
  bool watch = false, read_only = false, try_it = false, triage = false, ends = false;
};

po::options_description described(Given& given) {
  po::options_description visible("Options");
  visible.add_options()("kernels", po::value(&given.kernels)->value_name("WORD…")->multitoken(),
                        "releases, patterns (6.1.*-cloud-*), patterns of a suite (trixie:*-cloud-*); up to the next "
                        "option")("output,o", po::value(&given.output)->value_name("DIR"), "a folder a release")(
      "jobs,j", po::value(&given.jobs)->value_name("N"), "cells at a time, of each launcher (default: processors)")(
      "launcher", po::value(&given.launchers)->value_name("WORDS"),
      "in front of each cell's command: \"srun -n1\"; repeatable, cells take turns")(
      "host", po::value(&given.hosts)->value_name("HOST"),
      "the same by ssh, repeatable; the output folder is there too")(
      "compiler-launcher", po::value(&given.compiler_launcher)->value_name("WORDS"),
      "in front of the compiler of patched objects: ccache (kpatch-build --launcher)")(
      "retries", po::value(&given.retries)->value_name("N"), "rounds for cells whose worker died (default: 2)")(
      "sign", po::value(&given.key)->value_name("KEY"), "sign each module")(
      "cert", po::value(&given.certificate)->value_name("FILE"), "the key's certificate")(
      "package", po::value(&given.package)->value_name("deb|rpm"), "a package of each module")(
      "try", po::bool_switch(&given.try_it), "start each kernel in QEMU and load its module there (kpatch-try)")(
      "triage", po::bool_switch(&given.triage), "look, and build nothing")(
      "store", po::value(&given.store)->value_name("DIR|URL"), "results, kernels and compilers that a team shares")(
      "store-read-only", po::bool_switch(&given.read_only), "take from it alone")(
      "store-key", po::value(&given.store_key)->value_name("KEY"), "sign what is kept there")(
      "store-cert", po::value(&given.store_certificate)->value_name("FILE"),
      "take only what its owner signed; kernels and compilers as well, since those run here")(
      "store-timeout", po::value(&given.store_timeout)->value_name("SECONDS"),
      "how long it may be silent before all is made here (default: 20)")(
      "archive", po::value(&given.archive)->value_name("URL"), "as for kpatch-build")(
      "archive-key", po::value(&given.archive_key)->value_name("FILE"), "as for kpatch-build")(
      "watch", po::bool_switch(&given.watch), "say what changed since the last run, and that alone")(
      "age", po::value(&given.age)->value_name("AGE"), "with prune: what wasn't used for so long goes (30d, 12h)")(
      "version", "print the version")("help,h", "print this help");
  return visible;
}

void print_help(const po::options_description& visible) {
  std::cout << "Usage: kpatch-fleet [options] PLAN.yaml\n"
               "       kpatch-fleet --kernels RELEASE-OR-PATTERN… -o DIR PATCH…\n"
               "       kpatch-fleet prune --store DIR --age AGE\n"
               "       kpatch-fleet cell FILE\n"
               "Fixes for many kernels: looked at, built, verified, and laid out by release.\n\n"
            << visible
            << "\nExit status: 0 each cell is built or needs nothing; 1 an error, or a cell failed; 2 a cell needs a "
               "person: a "
               "backport,\nanother patch, another plan.\nManual: kpatch-fleet(1)\n";
}

Given parse(int argc, char** argv) {
  Given given;
  const po::options_description visible = described(given);
  const po::variables_map values = parse_program_options(argc, argv, visible, given.words, "kpatch-fleet");
  given.ends = values.count("help") != 0 || values.count("version") != 0;
  if (values.count("help") != 0)
    print_help(visible);
  else if (given.ends)
    fmt::print("kpatch-fleet {}\n", KPATCH_VERSION);
  return given;
}

void take(const std::string& from, std::string& to) {
  if (!from.empty()) to = from;
}

// A command line says more than a plan.
Plan plan_of(const Given& given) {
  Plan plan;
  const bool file = given.words.size() == 1 && (given.words[0].ends_with(".yaml") || given.words[0].ends_with(".yml"));
  if (file) {
    plan = read_plan(given.words[0]);
  } else {
    for (const std::string& word : given.words) plan.fixes.push_back({fs::path(word).stem().string(), {word}, {}, {}});
  }
  for (const std::string& word : given.kernels)
    if (word.find('/') != std::string::npos || word.ends_with(".patch") || word.ends_with(".diff"))
      throw Error(
          fmt::format("--kernels {}: it is no release; words up to the next option are: put -o DIR between", word));
  if (!given.kernels.empty()) plan.kernels = given.kernels;
  if (!given.output.empty()) plan.output = given.output;
  if (given.jobs != 0) plan.jobs = given.jobs;
  if (plan.jobs > 4096) throw Error("-j: a number up to 4096 is meant");
  if (!given.launchers.empty() || !given.hosts.empty()) {
    plan.launchers = given.launchers;
    plan.hosts = given.hosts;
  }
  if (given.retries >= 0) plan.retries = static_cast<unsigned>(given.retries);
  take(given.key, plan.sign_key);
  take(given.package, plan.package);
  take(given.compiler_launcher, plan.compiler_launcher);
  take(given.store, plan.store.where);
  take(given.store_key, plan.store.key);
  take(given.archive, plan.archive);
  if (!given.certificate.empty()) plan.certificate = given.certificate;
  if (!given.store_certificate.empty()) plan.store.certificate = given.store_certificate;
  if (!given.archive_key.empty()) plan.archive_key = given.archive_key;
  if (given.store_timeout >= 0) plan.store.patience = static_cast<unsigned>(given.store_timeout);
  plan.try_it = plan.try_it || given.try_it;
  plan.triage_only = given.triage;
  plan.store.read_only = plan.store.read_only || given.read_only;
  require_sound(plan);
  // Workers start elsewhere.
  for (fs::path* path : {&plan.output, &plan.certificate, &plan.store.certificate, &plan.archive_key})
    if (!path->empty()) *path = fs::absolute(*path);
  for (std::string* key : {&plan.sign_key, &plan.store.key})
    if (!key->empty() && !key->starts_with("pkcs11:")) *key = fs::absolute(*key).string();
  if (!plan.store.where.empty() && plan.store.where.find("://") == std::string::npos)
    plan.store.where = fs::absolute(plan.store.where).string();
  return plan;
}

int prune(const Given& given) {
  if (given.store.empty() || given.age.empty()) throw Error("prune --store DIR --age AGE is meant");
  const size_t removed = prune_store(given.store, parse_age(given.age, "--age").count());
  fmt::print("{} entries and files removed\n", removed);
  return exit_ok;
}

int run(const Given& given) {
  if (given.ends) return exit_ok;
  if (!given.words.empty() && given.words[0] == "cell") {
    if (given.words.size() != 2) throw Error("kpatch-fleet cell FILE is meant");
    return run_cell(given.words[1]);
  }
  if (!given.words.empty() && given.words[0] == "prune") return prune(given);
  const Plan plan = plan_of(given);
  Console console(0);
  const nlohmann::json results = run_plan(plan, console);
  if (given.watch) {
    for (const auto& change : results.at("changes")) console.info(change.get<std::string>());
    if (results.at("changes").empty()) console.info("nothing changed since the last run");
  } else {
    console.info(table_of(results));
  }
  return status_of(results);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return run(parse(argc, argv)); });
}
