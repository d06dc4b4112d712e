// kpatch: the livepatches of the machine that it runs on.
//
// It needs the kernel and nothing else: what belongs to a build host are programs of their own, kpatch-NAME, that are run
// where they are installed.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "kpatch/commands.h"
#include "kpatch/options.h"
#include "support/error.h"
#include "support/standard-output.h"

namespace {

using namespace kpatch;

[[noreturn]] void run_program(const TargetOptions& options) {
  const std::string program = "kpatch-" + options.command;
  std::vector<char*> arguments = {const_cast<char*>(program.c_str())};
  for (const std::string& name : options.names) arguments.push_back(const_cast<char*>(name.c_str()));
  arguments.push_back(nullptr);
  if (options.command.find('/') == std::string::npos) execvp(program.c_str(), arguments.data());
  if (errno == ENOENT || options.command.find('/') != std::string::npos)
    throw Error(fmt::format("kpatch has no command \"{}\", and {} isn't installed; see kpatch --help", options.command,
                            program));
  throw Error(fmt::format("{}: {}", program, std::strerror(errno)));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const TargetOptions options = parse_target_options(argc, argv);
    if (options.command.empty()) return after_output(exit_ok);
    if (!is_command(options.command)) run_program(options);
    System system;
    const bool changes = options.command == "load" || options.command == "unload";
    return after_output(run_command(options, system), changes ? LostOutput::warns : LostOutput::fails);
  } catch (const std::exception& error) {
    std::fputs(fmt::format("error: {}\n", error.what()).c_str(), stderr);
    return exit_error;
  }
}
