#include "kpatch/options.h"

#include <fmt/format.h>
#include <getopt.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "kpatch/vex.h"
#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

enum class Names { none, one, any };

struct Command {
  const char* name;
  const char* arguments;
  const char* what;
  Names names;
};

constexpr std::array<Command, 16> commands = {{
    {"load", "MODULE…|--all", "load livepatches, and wait until they are in effect", Names::any},
    {"unload", "MODULE…|--all", "take them out of effect, and unload them", Names::any},
    {"install", "FILE…", "keep them below /var/lib/kpatch, and load them at each start", Names::any},
    {"uninstall", "MODULE…", "no longer; what is loaded stays", Names::any},
    {"accept", "[MODULE…]", "what was tried has proven good: it may be loaded at the next start", Names::any},
    {"list", "", "those that are loaded, and those that are installed", Names::none},
    {"info", "MODULE", "what a module says of itself", Names::one},
    {"status", "", "whether this kernel is patched (exit code below)", Names::none},
    {"check", "[MODULE…]", "who else hooks what these, or those in effect, replace", Names::any},
    {"signal", "", "who keeps the transition from ending", Names::none},
    {"force", "", "end the transition at once; its module can never be unloaded", Names::none},
    {"uname", "", "the kernel's release, and what is in effect", Names::none},
    {"vex", "[MODULE…]", "what livepatches in effect, or these, fix, for scanners; what they are", Names::any},
    {"support-bundle", "", "what a bug report needs, as one text without secrets", Names::none},
    {"version", "", "kpatch's own", Names::none},
    {"help", "", "this text", Names::none},
}};

// Which commands take an option; none: all of them do.
struct Option {
  const char* name;
  int letter;
  int argument;
  std::string_view commands;
};

constexpr std::array<Option, 17> known_options = {{
    {"all", 'a', no_argument, "load unload accept"},
    {"boot", 'b', no_argument, "load"},
    {"wait", 'w', required_argument, "load unload"},
    {"kernel-version", 'k', required_argument, "install uninstall"},
    {"health", 'H', required_argument, "load"},
    {"watch", 'W', required_argument, "load"},
    {"force", 'f', no_argument, "load install accept"},
    {"json", 'j', no_argument, ""},
    {"cve", 'c', required_argument, "status"},
    {"metrics", 'm', required_argument, "status"},
    {"log", 'l', required_argument, "load unload"},
    {"output", 'o', required_argument, "support-bundle"},
    {"format", 'F', required_argument, "vex"},
    {"author", 'A', required_argument, "vex"},
    {"publisher", 'P', required_argument, "vex"},
    {"provenance", 'I', required_argument, "vex"},
    {"help", 'h', no_argument, ""},
}};

constexpr const char* help_of_options = R"(
  --all                    load: all that are installed for this kernel; unload, accept: all that are loaded
  --boot                   load: as the service does: not what crashed the machine, nor with kpatch.enable=0
  --wait TIME              load, unload: for a transition (90, 15m, 2h), and for taking it back (default: 60)
  --health COMMAND         load: must succeed before, after, and while --watch lasts; gets KPATCH_MODULE. If it
                           fails, what ran before is put back
  --watch TIME             load: for so long the kernel must not warn, oops or hang, or what ran before is put back
  -k, --kernel-version V   install, uninstall: for another kernel than this
  --cve NAME               status: whether a livepatch in effect fixes it (a CVE, a commit, an advisory); repeatable
  --metrics FILE           status: write OpenMetrics text there, for node_exporter's text file collector
  --format KIND            vex: openvex (default) or csaf; spdx: a bill of materials, what the livepatches are, what they are
                           for, and what they were made from
  --author NAME            vex: who states it (default: kpatch)
  --publisher URI          vex: CSAF's namespace of the author, and what SPDX's of the document begins with
  --provenance FILE        vex: with spdx: what kpatch-build --provenance wrote of a module; repeatable
  --log FILE               load, unload: where events are logged (default: /var/log/kpatch/events.json;
                           none: nowhere)
  -o, --output FILE        support-bundle: write it there, whole or not at all (default: to stdout)
  --force                  load, install, accept: in spite of what is known against it
  --json                   answer for programs

Exit codes:
    load, unload   0 done; 1 refused, nothing changed; 2 the transition didn't end, or the machine wasn't well, and what
                   ran before runs again; 3 the transition ends in neither direction
    status         0 patched, the newest installed livepatch is in effect; 1 no livepatch; 2 one is installed and isn't
                   in effect; 3 the kernel has no livepatches. With --cve: 0 all are fixed; 1 of one nobody says so
    check          0 nothing is against it; 1 something is; 2 not all can be known
    others         0 done; 1 not

kpatch NAME runs kpatch-NAME if it is installed.
)";

void print_help() {
  std::string text =
      "kpatch COMMAND [OPTION…] [MODULE…]: the livepatches of this machine\n\n"
      "MODULE is a file (./livepatch-fix.ko), or the name of an installed or loaded one.\n\n";
  for (const Command& command : commands)
    text += fmt::format("  {:<15}{:<15} {}\n", command.name, command.arguments, command.what);
  text += help_of_options;
  std::fputs(text.c_str(), stdout);
}

const Command* find(const std::string& name) {
  const auto* it = std::ranges::find(commands, name, &Command::name);
  return it == commands.end() ? nullptr : it;
}

std::chrono::seconds seconds_of(const char* option, const char* text) {
  char* end = nullptr;
  long value = std::strtol(text, &end, 10);
  const std::string_view unit = end;
  const long factor = unit.empty() || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (value >= 1 && value <= 86400) value *= factor;
  if (end == text || factor == 0 || value < 1 || value > 86400)
    throw Error(fmt::format("{} {}: give seconds, minutes or hours (90, 15m, 2h), up to a day", option, text));
  return std::chrono::seconds(value);
}

bool takes(const std::string& command, const Option& option) {
  if (option.commands.empty()) return true;
  for (const std::string_view word : words_of(option.commands))
    if (word == command) return true;
  return false;
}

}  // namespace

bool is_command(const std::string& name) { return find(name) != nullptr; }

TargetOptions parse_target_options(int argc, char** argv) {
  TargetOptions options;
  const std::string first = argc > 1 ? argv[1] : "";
  if (first.empty()) throw Error("no command; see kpatch --help");
  if (first == "--help" || first == "-h" || first == "help") {
    print_help();
    return options;
  }
  if (first == "--version" || first == "-v") {
    std::fputs("kpatch " KPATCH_VERSION "\n", stdout);
    return options;
  }
  if (first.starts_with('-'))
    throw Error(fmt::format("{}: unknown option, or one that belongs behind the command; see kpatch --help", first));
  options.command = first;
  const Command* command = find(first);
  if (command == nullptr) {
    options.names.assign(argv + 2, argv + argc);
    return options;
  }
  std::vector<option> known;
  for (const Option& one : known_options) known.push_back({one.name, one.argument, nullptr, one.letter});
  known.push_back({});
  opterr = 0;
  optind = 2;
  for (int option = 0; (option = getopt_long(argc, argv, "k:o:h", known.data(), nullptr)) != -1;) {
    const auto* one = std::ranges::find(known_options, option, &Option::letter);
    if (one != known_options.end() && !takes(first, *one))
      throw Error(fmt::format("--{} belongs to kpatch {}, and not to kpatch {}", one->name,
                              joined(words_of(one->commands), ", "), first));
    switch (option) {
      case 'a':
        options.all = true;
        break;
      case 'b':
        options.boot = options.all = true;
        break;
      case 'w':
        options.wait = seconds_of("--wait", optarg);
        break;
      case 'H':
        options.health = optarg;
        break;
      case 'W':
        options.watch = seconds_of("--watch", optarg);
        break;
      case 'k':
        options.release = optarg;
        break;
      case 'f':
        options.force = true;
        break;
      case 'j':
        options.json = true;
        break;
      case 'c':
        options.cves.emplace_back(optarg);
        break;
      case 'm':
        options.metrics = optarg;
        break;
      case 'l':
        options.log = std::string_view(optarg) == "none" ? "" : optarg;
        break;
      case 'F':
        options.format = optarg;
        break;
      case 'A':
        options.author = optarg;
        break;
      case 'o':
        options.output = optarg;
        break;
      case 'I':
        options.provenance.emplace_back(optarg);
        break;
      case 'P':
        if (!is_uri(optarg))
          throw Error(fmt::format("--publisher {}: a URI is meant, as https://security.example.org/", optarg));
        options.publisher = optarg;
        break;
      case 'h':
        print_help();
        options.command.clear();
        return options;
      default:
        throw Error(
            fmt::format("{}: unknown option, or one that lacks its value; see kpatch --help", argv[optind - 1]));
    }
  }
  options.names.assign(argv + optind, argv + argc);
  if (options.all && !options.names.empty()) throw Error("--all stands in place of modules");
  if ((!options.health.empty() || options.watch.count() > 0) && options.boot)
    throw Error("--health and --watch belong to kpatch load, without --boot");
  if (options.format != "openvex" && options.format != "csaf" && options.format != "spdx")
    throw Error(fmt::format("--format {}: openvex, csaf or spdx is meant", options.format));
  if (!options.provenance.empty() && options.format != "spdx") throw Error("--provenance is for --format spdx");
  if (command->names == Names::none && !options.names.empty())
    throw Error(fmt::format("kpatch {} takes no \"{}\"", first, options.names.front()));
  if (command->names == Names::one && options.names.size() != 1)
    throw Error(fmt::format("kpatch {} takes one module", first));
  if (command->names == Names::any && options.names.empty() && !options.all && first != "accept" && first != "vex" &&
      first != "check")
    throw Error(fmt::format("kpatch {}: which module? ({})", first, command->arguments));
  if (first == "version") {
    std::fputs(options.json ? "{\n  \"version\": \"" KPATCH_VERSION "\"\n}\n" : "kpatch " KPATCH_VERSION "\n", stdout);
    options.command.clear();
  }
  return options;
}

}  // namespace kpatch
