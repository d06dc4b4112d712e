// klpmake: livepatches from source, in the folder in which it is run.
#include <fmt/core.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "klpmake/folder.h"
#include "klpmake/steps.h"
#include "kpatch-build/kpatch-build.h"
#include "support/error.h"
#include "support/signals.h"
#include "support/standard-output.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;
namespace po = boost::program_options;

constexpr const char* usage =
    "Usage: klpmake [-s SOURCE] [-b DEBUG] [-d] [0|1|2]\n"
    "\n"
    "Makes a livepatch in the folder in which it is run, which is called as the module and holds one .patch.\n"
    "  0  the patch becomes _klpsrc.conf and patched copies of its sources\n"
    "  1  klpsrc.conf, or _klpsrc.conf, becomes livepatch.c, the sources, Makefile and _klpmake.syms\n"
    "  2  the sources and _klpmake.syms become the module\n"
    "Without a number all steps are done; with a klpsrc.conf in the folder those are 1 and 2.\n"
    "\n"
    "Exit: 0 made, 1 error or wrong option, 2 it can't be made (each reason named), 4 no such step,\n"
    "5 too many arguments, 7 a name that is there twice in _klpmake.syms, 42 a source that the kernel doesn't build.\n";

struct CommandLine {
  fs::path source, debug;
  unsigned verbosity = 0;
  std::optional<int> step;
};

std::optional<CommandLine> parse(int argc, char** argv) {
  CommandLine line;
  std::string source, debug;
  std::vector<std::string> words;
  bool log = false;
  po::options_description visible("Options");
  visible.add_options()("source,s", po::value(&source)->value_name("DIR"),
                        "the kernel's source (default: that of the release)")(
      "debug-root,b", po::value(&debug)->value_name("DIR"),
      "a folder with vmlinux or vmlinux-RELEASE (default: of the kernel that runs)")(
      "debug,d", po::bool_switch(&log), "tell more")("help,h", "this text")("version", "the version");
  po::options_description all;
  all.add(visible).add_options()("step", po::value(&words));
  po::variables_map given;
  try {
    po::store(po::command_line_parser(argc, argv)
                  .options(all)
                  .positional(po::positional_options_description().add("step", -1))
                  .run(),
              given);
    po::notify(given);
  } catch (const po::error& error) {
    throw Error(error.what());
  }
  if (given.contains("help")) {
    std::ostringstream text;
    text << visible;
    fmt::print("{}\n{}", usage, text.str());
    return std::nullopt;
  }
  if (given.contains("version")) {
    fmt::print("klpmake {}\n", KPATCH_VERSION);
    return std::nullopt;
  }
  if (words.size() > 1) throw ExitError(5, "too many arguments: one step is expected, 0, 1 or 2");
  if (words.size() == 1) {
    if (words[0] != "0" && words[0] != "1" && words[0] != "2")
      throw ExitError(4, fmt::format("{}: there is no such step; there are 0, 1 and 2", words[0]));
    line.step = words[0][0] - '0';
  }
  line.source = source;
  line.debug = debug;
  line.verbosity = log ? 2 : 0;
  return line;
}

template <typename Step>
void announce(int number, const char* what, const char* end, Step step) {
  fmt::print("step{}: {}\n", number, what);
  std::fflush(stdout);
  step();
  fmt::print("{}\n", end);
  std::fflush(stdout);
}

int run(const CommandLine& line) {
  const Folder folder = folder_of(fs::current_path());
  std::optional<Conf> conf = read_conf(folder);
  const bool by_hand = fs::exists(folder.file("klpsrc.conf"));
  const bool configure = line.step ? *line.step == 0 : !by_hand;
  if (configure) static_cast<void>(folder.patch());
  if (line.step && *line.step > 0 && !conf)
    throw Error("there is no klpsrc.conf, and no _klpsrc.conf, which step 0 writes");
  const fs::path source = line.source.empty() && conf && !configure ? conf->source : line.source;
  const fs::path debug = line.debug.empty() && conf && !configure ? conf->debug : line.debug;
  KernelSession kernel(kernel_options(source, debug), line.verbosity);
  Workshop workshop(kernel.base(), kernel.cache(), kernel.executor(), kernel.console(), kernel.scratch());
  if (configure)
    announce(0, "what the patch changes", "OK",
             [&] { write_configuration(workshop, folder, line.source, line.debug); });
  if (configure && !line.step) conf = read_conf(folder);
  if (!line.step || *line.step == 1)
    announce(1, "the livepatch's source", "OK", [&] { write_sources(workshop, folder, *conf); });
  if (!line.step || *line.step == 2)
    announce(2, "the module", "SUCCEED", [&] { make_livepatch(workshop, folder, *conf); });
  return exit_ok;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    handle_signals();
    const std::optional<CommandLine> line = parse(argc, argv);
    return after_output(line ? run(*line) : exit_ok);
  } catch (const Interrupted& interrupted) {
    return 128 + interrupted.signal;
  } catch (const ExitError& error) {
    fmt::print(stderr, "klpmake: error: {}\n", error.what());
    return error.code;
  } catch (const std::exception& error) {
    fmt::print(stderr, "klpmake: error: {}\n", error.what());
    return exit_error;
  }
}
