// Reading the command line
//
//     kpatch-build -s linux -c .config -j10 -o out/ fix.patch
//
// Boost.Program_options reads it; this file adds three things: -d may be repeated, and of other options given twice the
// last one counts, as people expect (the library takes both for errors, so they are settled before it sees them), paths
// in messages are the caller's own, and help is grouped by what an option is about.
#include "kpatch-build/options.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cctype>
#include <cstdlib>
#include <iostream>
#include <set>
#include <thread>
#include <utility>

#include "kbuild/kbuild.h"
#include "kernel/kernel.h"
#include "kpatch-build/disable.h"
#include "rules/rules.h"
#include "support/error.h"
#include "support/executor.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace po = boost::program_options;

constexpr size_t longest_module_name = 55;

struct Groups {
  po::options_description kernel{"Which kernel"};
  po::options_description build{"How to build"};
  po::options_description result{"What comes out"};
  po::options_description closer{"Looking closer"};
  po::options_description cache{"The cache (KPATCH_CACHE, else ~/.cache/kpatch)"};
  po::options_description scripts{"For scripts that were written for kpatch"};
};

Groups describe() {
  Groups g;
  g.kernel.add_options()("sourcedir,s", po::value<std::string>()->value_name("DIR"),
                         "kernel source, never written to (default: the release's source package)")(
      "config,c", po::value<std::string>()->value_name("FILE"),
      "kernel config (default: the source's .config, or the release's config)")(
      "vmlinux,v", po::value<std::string>()->value_name("FILE"),
      "the vmlinux that runs, with symbols (default: the release's debug package; for an own kernel it is built "
      "once and kept)")(
      "archversion,a", po::value<std::vector<std::string>>()->value_name("VER")->composing(),
      "kernel release, or a stock series such as 6.12-cloud: the newest in the archive (default: what vmlinux says, "
      "or the running kernel)")("sourcerpm,r", po::value<std::string>()->value_name("FILE"),
                                fmt::format("source package ({})", source_package_kinds()).c_str())(
      "list-kernels", po::value<std::string>()->value_name("SUITE")->implicit_value(""),
      "print the stock kernels of the archive's suites, or of one, instead of a build")(
      "toolchain", po::value<std::string>()->value_name("DIR"),
      "a root in which the kernel's compiler is installed (default: this machine, if it has that compiler, else one "
      "that is made and kept)")("archive", po::value<std::string>()->value_name("URL"),
                                "fetch the kernel and its compiler from there (default: the archive that apt uses)")(
      "archive-key", po::value<std::string>()->value_name("FILE"),
      "who signs that archive (default: the distribution)")(
      "packages", po::value<std::string>()->value_name("DIR"),
      "take the kernel from the packages in this folder (.deb, .ddeb, .rpm, .src.rpm, .dsc), of Debian, Ubuntu, RHEL, "
      "Fedora or SUSE")("modules,m", po::value<std::string>()->value_name("DIR"),
                        "the shipped modules (default: beside vmlinux)")(
      "symvers", po::value<std::string>()->value_name("FILE"),
      "the kernel's Module.symvers (default: from the headers package)");
  g.build.add_options()("jobs,j", po::value<int>()->value_name("N"), "parallel jobs (default: all processors)")(
      "target,t", po::value<std::vector<std::string>>()->value_name("NAME")->composing(),
      "only these kbuild targets, repeatable (default: vmlinux modules)")(
      "full", po::bool_switch(), "build the original and the patched kernel in full and compare every object")(
      "from-source", po::bool_switch(),
      "make the module of the changed functions' source, which is delivered with it, instead of diff objects")(
      "both", po::bool_switch(),
      "make the module of diff objects, NAME.from-source.ko of source, and tell where they differ (--explain)")(
      "launcher", po::value<std::string>()->value_name("CMD"),
      "run the compiles of the original and the patched objects by ccache, distcc, icecc or the like; not what kbuild "
      "compiles for a base, for --full or for the module")(
      "no-sandbox", po::bool_switch(),
      "run commands without bubblewrap: they may write anywhere and use the network (recorded in the module)")(
      "ignore-whitespace", po::bool_switch(), "apply patches whose white space differs from the source's")(
      "ack", po::value<std::vector<std::string>>()->value_name("RULE")->composing(),
      "accept one finding by its name, repeatable")("skip-compiler-check", po::bool_switch(),
                                                    "go on with another compiler than the kernel's")(
      "skip-proof", po::bool_switch(),
      "don't prove that the compiled code is the code that runs (recorded in the module)");
  g.result.add_options()("disable", po::value<std::vector<std::string>>()->value_name("FUNC[=VALUE]")->composing(),
                         "instead of a patch, repeatable: let this function return the value at once; FILE:FUNC or "
                         "MODULE:FUNC names one of "
                         "several")("name,n", po::value<std::string>()->value_name("NAME"),
                                    "module name (default: livepatch-PATCH)")(
      "output,o", po::value<std::string>()->value_name("DIR"), "where the .ko goes; made if missing (default: here)")(
      "non-replace,R", po::bool_switch(), "don't replace livepatches that are loaded already")(
      "previous", po::value<std::vector<std::string>>()->value_name("FILE")->composing(),
      "refuse what drops something that an earlier livepatch had: its module (also of kpatch or klp-build), its report "
      "(.json) or its patch; repeatable")(
      "fixes", po::value<std::vector<std::string>>()->value_name("NAME,…")->composing(),
      "what the patch fixes, repeatable: CVEs, commits, advisories; `kpatch status --cve` asks the loaded module")(
      "sign", po::value<std::string>()->value_name("KEY"),
      "sign the module: a PEM file, or a URI of PKCS#11; its password or PIN is taken from KBUILD_SIGN_PIN")(
      "cert", po::value<std::string>()->value_name("FILE"), "that key's certificate, PEM or DER")(
      "report", po::value<std::vector<std::string>>()->value_name("FILE")->composing(),
      "write what changed and why: .json, .sarif or .html, repeatable")(
      "debug-info", po::bool_switch(),
      "also write NAME.ko.debug: the module's debug information, for perf, drgn, crash and decode_stacktrace.sh")(
      "guide", po::value<std::string>()->value_name("ADDRESS"),
      "where reports link a finding's rule to: the address of the patch author's guide (also KPATCH_GUIDE)")(
      "test", po::bool_switch(),
      "boot the kernel in QEMU, load the module there and unload it, before it is delivered (kpatch-try)")(
      "test-script", po::value<std::string>()->value_name("FILE"),
      "--test, and run this shell script there: it has to fail without the module and to pass with it")(
      "provenance", po::value<std::string>()->value_name("FILE"),
      "write an in-toto statement of all inputs by their digests, from which kpatch-rebuild makes the same bytes")(
      "bundle", po::value<std::string>()->value_name("FILE"),
      "write what the build needed into one archive (.tar.zst), for --from-bundle on a machine without a network")(
      "from-bundle", po::value<std::string>()->value_name("FILE"),
      "build from such an archive: its patches, if none are named")(
      "support-bundle", po::value<std::string>()->value_name("FILE"),
      "write what a bug report needs into one archive (.tar.zst), of a failed build too: patch, log, report, objects")(
      "explain", po::bool_switch(), "print what changed and why, and why each object and the base were made");
  g.cache.add_options()("cache", po::value<std::string>()->value_name("list|size|prune|drop"),
                        "look into the cache or make it smaller, instead of a build; what a build uses stays")(
      "cache-max-age", po::value<std::string>()->value_name("AGE"),
      "remove what was not used for so long, as in 30d (also KPATCH_CACHE_MAX_AGE)")(
      "cache-max-size", po::value<std::string>()->value_name("SIZE"),
      "remove what was used longest ago until the rest is that small, as in 20G (also KPATCH_CACHE_MAX_SIZE)")(
      "store", po::value<std::string>()->value_name("DIR|URL"),
      "fetch prepared kernels and compilers that others made, and keep what is made here for them")(
      "store-cert", po::value<std::string>()->value_name("FILE"), "take only what its owner signed there")(
      "store-key", po::value<std::string>()->value_name("KEY"), "sign what is kept there; without it nothing is kept")(
      "store-read-only", po::bool_switch(), "take from it alone")(
      "store-timeout", po::value<int>()->value_name("SECONDS"),
      "how long it may be silent before all is made here (default: 20)");
  g.closer.add_options()("assess", po::bool_switch(),
                         "instead of a build, tell for each -a whether the patch, or the COMMIT of the git repository "
                         "here, applies, is there already, concerns what is built, and can be patched")(
      "json", po::bool_switch(), "with --assess: answer for programs")(
      "way-out", po::value<std::string>()->value_name("DIR"),
      "with --assess: write what refused changes can be turned into, as patches on top that want editing")(
      "debug,d", "say more; repeat it for every command that runs")(
      "skip-cleanup", po::bool_switch(), "keep the scratch directory")("version", "print the version")(
      "help,h", "print this help");
  g.scripts.add_options()("skip-gcc-check", po::bool_switch(), "the same as --skip-compiler-check")(
      "oot-module,e", po::value<std::string>()->value_name("KO"),
      "refused: put the module's source into the tree that -s names, and build it with the kernel")(
      "oot-module-src", po::value<std::string>()->value_name("DIR"), "refused, as --oot-module is");
  return g;
}

void print_help(const Groups& groups) {
  std::cout
      << "Usage: kpatch-build [options] PATCH...        (-: standard input)\n"
         "Builds one livepatch module from source patches, for a kernel that runs.\n\n"
      << groups.kernel << '\n'
      << groups.build << '\n'
      << groups.result << '\n'
      << groups.closer << '\n'
      << groups.cache << '\n'
      << groups.scripts
      << "\nExit status: 0 built; 1 error; 2 the change can't be patched; 3 no functional change.\n"
         "With --assess, of all kernels: 0 it can be patched; 1 one doesn't apply; 2 one is refused; 3 nothing to do.\n"
         "Manual: kpatch-build(1)\n";
}

void refuse_foreign(const po::variables_map& values) {
  for (const char* option : {"oot-module", "oot-module-src"})
    if (values.contains(option))
      throw Error(
          fmt::format("--{}: modules that aren't part of the kernel's source can't be patched yet; put the module's "
                      "source into the tree that -s names, and build it with the kernel",
                      option));
}

po::parsed_options parse(int argc, const char* const* argv, const po::options_description& all) {
  po::options_description with_patches;
  with_patches.add(all).add_options()("patch", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("patch", -1);
  namespace style = po::command_line_style;
  const int no_guessing = style::unix_style & ~style::allow_guessing;
  po::parsed_options parsed =
      po::command_line_parser(argc, argv).options(with_patches).positional(positional).style(no_guessing).run();
  parsed.description = nullptr;
  return parsed;
}

// Of an option that is given twice the last one counts; lists collect.
void keep_last(std::vector<po::option>& options) {
  std::set<std::string> seen;
  for (size_t i = options.size(); i-- > 0;) {
    const std::string& key = options[i].string_key;
    const bool list = key == "disable" || key == "patch" || key == "target" || key == "ack" || key == "fixes" ||
                      key == "report" || key == "previous" || key == "archversion";
    if (!list && !seen.insert(key).second) options.erase(options.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

template <typename T, typename Target>
void take(const po::variables_map& values, const char* name, Target& into) {
  if (auto it = values.find(name); it != values.end()) into = it->second.as<T>();
}

CacheAction cache_action(const std::string& name) {
  constexpr std::pair<std::string_view, CacheAction> actions[] = {{"list", CacheAction::list},
                                                                  {"size", CacheAction::size},
                                                                  {"prune", CacheAction::prune},
                                                                  {"drop", CacheAction::drop}};
  for (const auto& [known, action] : actions)
    if (name == known) return action;
  throw Error(fmt::format("--cache {}: list, size, prune or drop is meant", name));
}

// "distcc --randomize" as a shell would split it.
std::vector<std::string> launcher_words(const std::string& text) {
  const std::vector<std::vector<std::string>> commands = split_shell(text);
  if (commands.size() != 1) throw Error(fmt::format("--launcher '{}': one command is meant, as in ccache", text));
  if (!find_program(commands[0][0]))
    throw Error(
        fmt::format("--launcher {}: there is no such program; install it, or name it with its path", commands[0][0]));
  return commands[0];
}

// They go into the module as they are, and scripts look for them: words, each once.
std::vector<std::string> fixes_of(const std::vector<std::string>& lists) {
  std::vector<std::string> fixes;
  for (const std::string& list : lists) {
    if (list.empty()) throw Error("--fixes: names are missing, as in CVE-2026-1000");
    for (const std::string_view field : fields_of(list, ',')) {
      const std::string name(trimmed(field));
      const bool plain = !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("._:+-").find(c) != std::string_view::npos;
      });
      if (!plain) throw Error(fmt::format("--fixes {}: \"{}\" is no CVE, commit or advisory", list, name));
      if (std::ranges::find(fixes, name) == fixes.end()) fixes.push_back(name);
    }
  }
  return fixes;
}

// The option, else the variable of the environment; empty when neither is there.
std::string given_or_set(const po::variables_map& values, const char* option, const char* variable) {
  std::string text;
  take<std::string>(values, option, text);
  if (const char* set = std::getenv(variable); text.empty() && set != nullptr) text = set;
  return text;
}

// The name of the patch that is made for --disable.
std::filesystem::path patch_of_disabled(const std::vector<std::string>& disabled) {
  std::string name = "disable";
  for (const std::string& text : disabled) name += "-" + parse_disabled(text).function;
  return name + ".patch";
}

// A report links to it. "javascript:…" would be run where somebody reads the report; a browser looks through white space
// in front and control characters in between.
void require_link(const std::string& address) {
  const bool plain =
      !address.starts_with(' ') && std::ranges::none_of(address, [](unsigned char c) { return c < ' ' || c == 0x7f; });
  const size_t end = address.find_first_of(":/?#");
  std::string scheme = end != std::string::npos && address[end] == ':' ? address.substr(0, end) : "";
  for (char& c : scheme) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const bool relative = end == std::string::npos || address[end] != ':';
  if (!plain || !(relative || scheme == "http" || scheme == "https" || scheme == "file"))
    throw Error("--guide, KPATCH_GUIDE: an address of http, https or file is meant, or a relative one");
}

Options fill(const po::variables_map& values) {
  Options o;
  std::vector<std::string> patches;
  take<std::vector<std::string>>(values, "patch", patches);
  o.patches.assign(patches.begin(), patches.end());
  take<std::vector<std::string>>(values, "disable", o.disabled);
  if (!o.disabled.empty()) o.patches.push_back(patch_of_disabled(o.disabled));
  take<std::string>(values, "sourcedir", o.source);
  take<std::string>(values, "config", o.config);
  take<std::string>(values, "vmlinux", o.vmlinux);
  take<std::vector<std::string>>(values, "archversion", o.releases);
  if (!o.releases.empty()) o.archversion = o.releases.back();
  take<std::string>(values, "sourcerpm", o.source_package);
  take<std::string>(values, "modules", o.modules);
  take<std::string>(values, "symvers", o.symvers);
  o.jobs = std::max(1U, std::thread::hardware_concurrency());
  if (const auto jobs = values.find("jobs"); jobs != values.end()) {
    if (jobs->second.as<int>() < 1) throw Error("--jobs: at least one job is needed");
    o.jobs = static_cast<unsigned>(jobs->second.as<int>());
  }
  take<std::vector<std::string>>(values, "target", o.targets);
  take<bool>(values, "full", o.full);
  take<bool>(values, "from-source", o.from_source);
  take<bool>(values, "both", o.both);
  if (const auto launcher = values.find("launcher"); launcher != values.end())
    o.launcher = launcher_words(launcher->second.as<std::string>());
  o.sandbox = !values["no-sandbox"].as<bool>();
  take<bool>(values, "ignore-whitespace", o.ignore_whitespace);
  take<std::vector<std::string>>(values, "ack", o.acknowledged);
  for (const std::string& rule : o.acknowledged)
    if (const Rule* known = find_rule(rule); known == nullptr || !known->acknowledgeable)
      throw Error(
          fmt::format("--ack {}: {} are what can be acknowledged", rule, joined(acknowledgeable_rules(), ", ")));
  o.skip_compiler_check = values["skip-compiler-check"].as<bool>() || values["skip-gcc-check"].as<bool>();
  if (const auto suite = values.find("list-kernels"); suite != values.end())
    o.list_kernels = suite->second.as<std::string>();
  take<std::string>(values, "toolchain", o.toolchain);
  take<std::string>(values, "archive", o.archive);
  take<std::string>(values, "archive-key", o.archive_key);
  take<std::string>(values, "packages", o.packages);
  take<std::string>(values, "store", o.store);
  take<std::string>(values, "store-key", o.store_key);
  take<std::string>(values, "store-cert", o.store_certificate);
  o.store_read_only = values["store-read-only"].as<bool>();
  if (const auto patience = values.find("store-timeout"); patience != values.end()) {
    if (patience->second.as<int>() < 1 || patience->second.as<int>() > 3600)
      throw Error("--store-timeout: between 1 and 3600 seconds are meant");
    o.store_patience = static_cast<unsigned>(patience->second.as<int>());
  }
  take<bool>(values, "skip-proof", o.skip_proof);
  take<std::string>(values, "name", o.name);
  take<std::string>(values, "output", o.output);
  o.replace = !values["non-replace"].as<bool>();
  std::vector<std::string> fixes;
  take<std::vector<std::string>>(values, "fixes", fixes);
  o.fixes = fixes_of(fixes);
  take<std::string>(values, "sign", o.sign_key);
  take<std::string>(values, "cert", o.certificate);
  std::vector<std::string> previous;
  take<std::vector<std::string>>(values, "previous", previous);
  o.previous.assign(previous.begin(), previous.end());
  std::vector<std::string> reports;
  take<std::vector<std::string>>(values, "report", reports);
  o.reports.assign(reports.begin(), reports.end());
  o.debug_info = values["debug-info"].as<bool>();
  o.guide = given_or_set(values, "guide", "KPATCH_GUIDE");
  require_link(o.guide);
  take<std::string>(values, "provenance", o.provenance);
  take<std::string>(values, "bundle", o.bundle);
  take<std::string>(values, "from-bundle", o.from_bundle);
  take<std::string>(values, "support-bundle", o.support_bundle);
  take<bool>(values, "explain", o.explain);
  take<bool>(values, "test", o.test);
  take<std::string>(values, "test-script", o.test_script);
  o.test |= !o.test_script.empty();
  take<bool>(values, "assess", o.assess);
  take<bool>(values, "json", o.json);
  take<std::string>(values, "way-out", o.way_out);
  take<bool>(values, "skip-cleanup", o.skip_cleanup);
  if (const auto action = values.find("cache"); action != values.end())
    o.cache = cache_action(action->second.as<std::string>());
  if (const auto age = given_or_set(values, "cache-max-age", "KPATCH_CACHE_MAX_AGE"); !age.empty())
    o.limits.age = parse_age(age, "--cache-max-age");
  if (const auto size = given_or_set(values, "cache-max-size", "KPATCH_CACHE_MAX_SIZE"); !size.empty())
    o.limits.size = parse_size(size, "--cache-max-size");
  return o;
}

void check(const Options& o) {
  if (o.cache != CacheAction::none) {
    if (!o.patches.empty()) throw Error("--cache does not build: no patch can be named with it");
    return;
  }
  if (o.list_kernels) {
    if (!o.patches.empty())
      throw Error("--list-kernels does not build: no patch can be named with it (--list-kernels=SUITE)");
    return;
  }
  if (o.patches.empty() && o.from_bundle.empty())
    throw Error("no patch file is named; usage: kpatch-build [options] PATCH... (see --help)");
  if (!o.assess && (o.json || !o.way_out.empty())) throw Error("--json and --way-out belong to --assess");
  if (o.assess && (!o.bundle.empty() || !o.from_bundle.empty()))
    throw Error("--assess makes no bundle, and takes none");
  if (o.assess && !o.support_bundle.empty()) throw Error("--support-bundle is of a build, and --assess makes none");
  if (o.assess && !o.disabled.empty()) throw Error("--assess is of patches, and --disable makes its own");
  if (o.assess && o.full) throw Error("--assess doesn't build, and --full does");
  if (!o.previous.empty() && !o.replace)
    throw Error("--previous is for livepatches that replace the one before: with --non-replace that one stays");
  if (o.from_source && o.both) throw Error("--both has --from-source in it: name one of them");
  for (const char* way : {o.from_source ? "--from-source" : "", o.both ? "--both" : ""}) {
    if (*way == '\0') continue;
    if (o.assess) throw Error(fmt::format("--assess doesn't build, and {} does", way));
    if (o.full)
      throw Error(fmt::format("{} takes functions out of one file at a time, and --full compares kernels", way));
  }
  if (o.from_source && o.debug_info)
    throw Error("--debug-info is of diff objects: what is extracted is compiled without debug information");
  if (!o.disabled.empty() && o.patches.size() > 1)
    throw Error("--disable stands in place of a patch: build one or the other");
  if (o.sign_key.empty() != o.certificate.empty())
    throw Error("--sign KEY and --cert FILE belong together: a key and its certificate");
  if (!o.store.empty() && o.store_certificate.empty())
    throw Error("--store: programs are in it, which run here; --store-cert names the certificate of who signs it");
  if (o.store.empty() && !(o.store_key.empty() && o.store_certificate.empty()))
    throw Error("--store-key and --store-cert are of a --store, and none is named");
  if (std::error_code ignored; !o.test_script.empty() && !std::filesystem::is_regular_file(o.test_script, ignored))
    throw Error(fmt::format("--test-script {}: no such file", o.test_script.string()));
  for (const std::filesystem::path& report : o.reports)
    if (const auto kind = report.extension(); kind != ".json" && kind != ".sarif" && kind != ".html")
      throw Error(fmt::format("{}: reports are written as .json, .sarif or .html", report.string()));
}

}  // namespace

std::optional<Options> parse_options(int argc, const char* const* argv) {
  const Groups groups = describe();
  po::options_description all;
  all.add(groups.kernel).add(groups.build).add(groups.result).add(groups.closer).add(groups.cache).add(groups.scripts);
  try {
    po::parsed_options parsed = parse(argc, argv, all);
    const auto is = [](std::string_view key) {
      return [key](const po::option& option) { return option.string_key == key; };
    };
    const auto debug = std::count_if(parsed.options.begin(), parsed.options.end(), is("debug"));
    std::erase_if(parsed.options, is("debug"));
    keep_last(parsed.options);
    if (std::any_of(parsed.options.begin(), parsed.options.end(), is("help"))) {
      print_help(groups);
      return std::nullopt;
    }
    if (std::any_of(parsed.options.begin(), parsed.options.end(), is("version"))) {
      std::cout << "kpatch-build " KPATCH_VERSION "\n";
      return std::nullopt;
    }
    po::options_description with_patches;
    with_patches.add(all).add_options()("patch", po::value<std::vector<std::string>>());
    parsed.description = &with_patches;
    po::variables_map values;
    po::store(parsed, values);
    po::notify(values);
    refuse_foreign(values);
    Options options = fill(values);
    options.debug = static_cast<unsigned>(debug);
    check(options);
    return options;
  } catch (const po::error& e) {
    throw Error(fmt::format("{} (see --help)", e.what()));
  }
}

bool wants_listings(const Options& options) {
  return std::any_of(options.reports.begin(), options.reports.end(),
                     [](const std::filesystem::path& report) { return report.extension() == ".html"; });
}

std::string module_name(const std::string& given, const std::vector<std::filesystem::path>& patches) {
  std::string name = given;
  if (name.empty()) {
    if (patches.size() == 1) {
      const std::filesystem::path& file = patches.front();
      const std::string extension = file.extension().string();
      const bool known = extension == ".patch" || extension == ".diff";
      name = "livepatch-" + (file == "-" ? "stdin" : (known ? file.stem() : file.filename()).string());
    } else {
      name = "livepatch-patch";
    }
  }
  for (char& c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!plain) c = '-';
  }
  if (name.size() > longest_module_name) name.resize(longest_module_name);
  if (name == "vmlinux") throw Error("--name vmlinux: that is the kernel itself; choose another");
  if (name.find_first_not_of('-') == std::string::npos) {
    throw Error(fmt::format("'{}' is no name for a module: no letter or digit is in it", given));
  }
  // insmod and modprobe would take it for an option.
  if (name.starts_with('-'))
    throw Error(fmt::format("--name {}: a module's name begins with a letter or a digit; {} would do", given,
                            name.substr(name.find_first_not_of('-'))));
  return name;
}

std::string options_summary(const Options& o) {
  std::string summary;
  const auto add = [&](const std::string& word) { summary += (summary.empty() ? "" : " ") + word; };
  if (!o.replace) add("--non-replace");
  if (o.full) add("--full");
  if (o.from_source) add("--from-source");
  if (o.both) add("--both");
  for (const std::string& target : o.targets) add("--target=" + target);
  if (o.ignore_whitespace) add("--ignore-whitespace");
  for (const std::string& rule : o.acknowledged) add("--ack=" + rule);
  if (o.skip_compiler_check) add("--skip-compiler-check");
  if (o.skip_proof) add("--skip-proof");
  return summary;
}

}  // namespace kpatch
