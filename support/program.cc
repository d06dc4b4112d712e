#include "support/program.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "support/error.h"
#include "support/signals.h"
#include "support/standard-output.h"

namespace kpatch {

namespace po = boost::program_options;

po::variables_map parse_program_options(int argc, char** argv, const po::options_description& visible,
                                        std::vector<std::string>& files, const std::string& program) {
  po::options_description all;
  all.add(visible).add_options()("file", po::value(&files));
  po::positional_options_description positional;
  positional.add("file", -1);
  namespace style = po::command_line_style;
  po::variables_map values;
  try {
    po::store(po::command_line_parser(argc, argv)
                  .options(all)
                  .positional(positional)
                  .style(style::unix_style & ~style::allow_guessing)
                  .run(),
              values);
    po::notify(values);
  } catch (const po::error& problem) {
    throw Error(fmt::format("{}; see {} --help", problem.what(), program));
  }
  return values;
}

int run_program(const std::function<int()>& body, const std::string& prefix) {
  try {
    handle_signals();
    return after_output(body());
  } catch (const Interrupted& interrupted) {
    return 128 + interrupted.signal;
  } catch (const std::exception& error) {
    std::fputs(fmt::format("{}error: {}\n", prefix, error.what()).c_str(), stderr);
    return exit_error;
  }
}

}  // namespace kpatch
