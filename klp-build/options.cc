// Each command has its own options; --file-funcs and its kin may be given several times, and each time is one file:
//
//     --file-funcs          fs/proc/meminfo.c meminfo_proc_show
//     --mod-file-funcs      xt_comment net/netfilter/xt_comment.c comment_mt
//     --conf-mod-file-funcs CONFIG_X mod file.c f g
#include "klp-build/options.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <cstdio>
#include <sstream>
#include <string_view>

#include "arch/arch.h"
#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace po = boost::program_options;
using std::string;
using std::string_view;

struct CommandHelp {
  string_view name, what;
};
constexpr std::array commands = {
    CommandHelp{"setup", "a project: what is patched in which codestreams, with checks"},
    CommandHelp{"scan", "which codestreams need a fix"},
    CommandHelp{"get-patches", "the patches that are known for a CVE, without a look at the kernels"},
    CommandHelp{"check-inline", "where the compiler put a function's code"},
    CommandHelp{"extract", "the livepatches' sources, for each codestream"},
    CommandHelp{"cs-diff", "what differs between the sources of two codestreams"},
    CommandHelp{"commit", "a branch for each group of equal sources, in a git repository"},
    CommandHelp{"push", "build the modules; --to also gives the branches to another repository"},
    CommandHelp{"status", "what is built"},
    CommandHelp{"log", "the log of one codestream's build"},
    CommandHelp{"cleanup", "remove what was built"},
    CommandHelp{"prepare-tests", "gather the built modules with a test, and run it in QEMU"},
    CommandHelp{"format-patches", "patches of the branches, for review"},
    CommandHelp{"data", "the kernels' files: what is there, what is missing, fetch it"},
    CommandHelp{"clean-sources", "remove unpacked sources; packages are kept"},
};

string usage() {
  string text =
      "Usage: klp-build COMMAND [OPTIONS]\n"
      "\n"
      "Livepatches from source for many kernels: a codestream is a packaged kernel release, or a line of a CSV.\n"
      "\n";
  for (const CommandHelp& command : commands) text += fmt::format("  {:<16} {}\n", command.name, command.what);
  return text +
         "\n"
         "klp-build COMMAND --help tells its options. Exit: 0 done, 1 error (each one named).\n";
}

po::options_description options_of(KlpCommandLine& line) {
  po::options_description options("Options");
  auto add = options.add_options();
  const string& command = line.command;
  const auto names = [](std::vector<string>* to, const char* what) {
    return po::value(to)->multitoken()->composing()->value_name(what);
  };
  if (command != "data" && command != "clean-sources" && command != "scan")
    add("name,n", po::value(&line.name)->value_name("NAME"), "the project");
  if (command != "run-job") {
    add("filter", po::value(&line.filter)->value_name("RE"),
        "these codestreams: a name, the beginning of names, or a regular expression");
    add("codestreams", po::value(&line.filter)->value_name("RE"), "the same");
    if (command == "check-inline") add("codestream", po::value(&line.filter)->value_name("RE"), "the same");
    add("data-dir", po::value<string>()->value_name("DIR"),
        "instead of data_dir of the settings; or a folder with a built kernel, which is then the codestream");
  }
  if (command == "get-patches") add("cve", po::value(&line.cve)->value_name("YEAR-NUMBER"), "the CVE that is fixed");
  if (command == "check-inline") {
    add("file", po::value<string>()->value_name("FILE"), "the function's file");
    add("symbol", po::value<string>()->value_name("FUNC"), "the function");
    add("module", po::value(&line.module)->value_name("MODULE"), "of the file (default: whichever has it)");
  }
  if (command == "setup" || command == "scan") {
    add("skips", po::value(&line.skips)->value_name("RE"), "not these codestreams");
    add("cve", po::value(&line.cve)->value_name("YEAR-NUMBER"), "the CVE that is fixed");
    add("conf", po::value(&line.conf)->value_name("CONFIG_X"), "the option that builds the files");
    add("fix", names(&line.fixes, "PATCH|COMMIT|BASE=PATCH…"),
        "the fix: patches in their order, or commits of the stable git tree; BASE=: for that base alone");
    add("no-check", po::bool_switch(&line.no_check), "don't look whether the fix is there already");
  }
  if (command == "scan") add("download", "accepted: what is missing is always fetched");
  if (command == "setup") {
    add("module", po::value(&line.module)->value_name("MODULE"), "of the files (default: whichever has them)");
    add("mod", po::value(&line.module)->value_name("MODULE"), "the same");
    add("file-funcs", names(nullptr, "FILE FUNC…"), "what is patched; repeatable");
    add("mod-file-funcs", names(nullptr, "MODULE FILE FUNC…"), "the same, with its module");
    add("conf-mod-file-funcs", names(nullptr, "CONFIG MODULE FILE FUNC…"), "the same, with option and module");
    add("archs", names(&line.archs, "ARCH…"), "of these architectures alone (default: all)");
    add("add-patches", names(&line.add_patches, "PATCH…"), "applied before the fix");
    add("full-checks", po::bool_switch(&line.full_checks), "accepted for old scripts: all checks are always done");
  }
  if (command == "extract") {
    add("avoid-ext", names(&line.avoid_ext, "FUNC…"), "functions to copy where the kernel's would be called");
    add("no-patches", po::bool_switch(&line.no_patches), "from the source as it is, without the fix");
    add("ignore-errors", po::bool_switch(&line.ignore_errors), "end with 0 when some codestreams could be extracted");
    add("apply-patches", "accepted for old scripts: the fix is always applied");
    add("type", po::value<string>()->value_name("ccp|ce"), "accepted for old scripts: there is one way to extract");
  }
  if (command == "cs-diff") {
    add("cs", names(&line.codestreams, "A B"), "the two, by their names");
    add("exit-code", po::bool_switch(&line.exit_code), "end with 1 when they differ");
  }
  if (command == "commit") add("force,f", po::bool_switch(&line.force), "replace branches that are there");
  if (command == "push") {
    add("fast", po::bool_switch(&line.fast), "the first codestream of each base alone");
    add("to", po::value<string>()->value_name("REPOSITORY"), "push the branches there as well");
    add("wait", "accepted: builds are waited for");
  }
  if (command == "status") add("wait", "accepted: builds are waited for");
  if (command == "log") {
    add("arch", po::value(&line.arch)->value_name("ARCH"), "default: the codestream's");
    add("cs", names(&line.codestreams, "NAME"), "the codestream, by its name");
  }
  if (command == "prepare-tests") {
    add("script", po::value<string>()->value_name("FILE"),
        "run in the guest, with the livepatch loaded; its exit status counts");
    add("no-run", po::bool_switch(&line.no_run), "only gather; no kernel is booted");
  }
  if (command == "format-patches") {
    add("version,v", po::value(&line.patch_version)->value_name("N"), "of the patches");
    add("no-test", po::bool_switch(&line.no_test), "without the patch of the test in kgr_patches_tests_dir");
  }
  if (command == "data") {
    add("download", po::bool_switch(&line.download), "fetch and prepare what is missing");
    add("update", po::bool_switch(&line.update), "ask the archive which kernels there are");
    add("verify-all", po::bool_switch(&line.verify_all), "look whether what is there can be read");
    add("cleanup-obsolete", po::bool_switch(&line.cleanup_obsolete), "remove kernels that are no codestream any more");
    add("force", po::bool_switch(&line.force), "fetch what is there, too");
  }
  add("verbose", "tell more");
  add("help,h", "this text");
  return options;
}

// A file that is named again has more functions, in the same module.
void add_file(std::vector<FileFunctions>& files, FileFunctions file) {
  const auto known = std::ranges::find(files, file.file, &FileFunctions::file);
  if (known == files.end()) {
    files.push_back(std::move(file));
    return;
  }
  if (known->module != file.module || known->conf != file.conf)
    throw Error(fmt::format("{} is named twice, with another module or config", file.file));
  for (string& function : file.functions)
    if (std::ranges::find(known->functions, function) == known->functions.end())
      known->functions.push_back(std::move(function));
}

void take_files(const po::parsed_options& parsed, KlpCommandLine& line) {
  for (const po::option& option : parsed.options) {
    const size_t before = option.string_key == "file-funcs"            ? 0
                          : option.string_key == "mod-file-funcs"      ? 1
                          : option.string_key == "conf-mod-file-funcs" ? 2
                                                                       : string::npos;
    if (before == string::npos) continue;
    if (option.value.size() < before + 2)
      throw Error(fmt::format("--{}: expected {}FILE FUNCTION…", option.string_key,
                              before == 0 ? "" : (before == 1 ? "MODULE " : "CONFIG MODULE ")));
    FileFunctions file{line.conf, line.module, option.value[before], {}};
    if (before >= 1) file.module = option.value[before - 1];
    if (before == 2) file.conf = option.value[0];
    file.functions.assign(option.value.begin() + static_cast<std::ptrdiff_t>(before) + 1, option.value.end());
    add_file(line.files, std::move(file));
  }
}

void require_consistent(const KlpCommandLine& line, const po::variables_map& given) {
  const auto config = [](const string& conf) {
    if (!conf.empty() && !conf.starts_with("CONFIG_"))
      throw Error(fmt::format("Invalid config {}: Missing CONFIG_ prefix", conf));
  };
  config(line.conf);
  for (const FileFunctions& file : line.files) config(file.conf);
  const bool of_project = line.command != "data" && line.command != "clean-sources" && line.command != "scan" &&
                          line.command != "check-inline";
  if (of_project && line.name.empty()) throw Error(fmt::format("{}: --name NAME is missing", line.command));
  if (line.command == "get-patches" && line.cve.empty()) throw Error("get-patches: --cve YEAR-NUMBER is missing");
  if (line.command == "check-inline" && line.files.empty())
    throw Error("check-inline: --file and --symbol are missing");
  if (given.contains("type") && given["type"].as<string>() != "ccp" && given["type"].as<string>() != "ce")
    throw Error(fmt::format("--type {}: there are ccp and ce", given["type"].as<string>()));
  if (line.command == "setup" && !line.conf.empty() && line.files.empty())
    throw Error("--conf without --file-funcs, --mod-file-funcs or --conf-mod-file-funcs: which functions are patched?");
  if (line.command == "setup" && !line.module.empty() && line.files.empty())
    throw Error("--module without --file-funcs: which functions are patched?");
  if (line.command == "data" && !line.download && !line.update && !line.verify_all && !line.cleanup_obsolete &&
      !given.contains("filter") && !given.contains("codestreams") && line.force)
    throw Error("data: --force goes with --download");
  std::vector<string> known;
  for (const Arch* arch : architectures()) {
    known.emplace_back(arch->elf.name);
    std::ranges::replace(known.back(), '-', '_');
  }
  for (const string& arch : line.archs)
    if (std::ranges::find(known, arch) == known.end())
      throw Error(fmt::format("--archs {}: there are {}", arch, joined(known, ", ")));
}

}  // namespace

std::optional<KlpCommandLine> parse_klp_options(int argc, const char* const* argv) {
  KlpCommandLine line;
  int at = 1;
  for (; at < argc && argv[at][0] == '-'; ++at) {
    const string_view word = argv[at];
    if (word == "-h" || word == "--help") return fmt::print("{}", usage()), std::nullopt;
    if (word == "-V" || word == "--version") return fmt::print("klp-build {}\n", KPATCH_VERSION), std::nullopt;
    if (word != "-v" && word != "--verbose") throw Error(fmt::format("{}: unknown option in front of a command", word));
    ++line.verbosity;
  }
  if (at >= argc) throw Error("a command is missing\n" + usage());
  line.command = argv[at];
  if (line.command == "run-job" && at + 2 == argc) {
    line.job = argv[at + 1];
    return line;
  }
  if (std::ranges::none_of(commands, [&](const CommandHelp& c) { return c.name == line.command; }))
    throw Error(fmt::format("{}: there is no such command\n{}", line.command, usage()));
  const po::options_description options = options_of(line);
  po::variables_map given;
  try {
    const po::parsed_options parsed =
        po::command_line_parser(argc - at, argv + at).options(options).positional({}).run();
    po::store(parsed, given);
    po::notify(given);
    if (given.contains("help")) {
      std::ostringstream text;
      text << options;
      return fmt::print("Usage: klp-build {} [OPTIONS]\n\n{}", line.command, text.str()), std::nullopt;
    }
    take_files(parsed, line);
  } catch (const po::error& error) {
    throw Error(fmt::format("{}: {}", line.command, error.what()));
  }
  if (given.contains("verbose")) ++line.verbosity;
  for (const auto& [option, path] :
       {std::pair{"data-dir", &line.data_dir}, {"to", &line.push_to}, {"script", &line.test_script}})
    if (given.contains(option)) *path = std::filesystem::absolute(given[option].as<string>());
  if (given.contains("file") && given.contains("symbol"))
    line.files = {{{}, line.module, given["file"].as<string>(), {given["symbol"].as<string>()}}};
  require_consistent(line, given);
  return line;
}

}  // namespace kpatch
