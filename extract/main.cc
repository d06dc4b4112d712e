// kpatch-extract: some functions of any C file, with what they need of its text.
#include <fmt/core.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "extract/extract.h"
#include "support/error.h"
#include "support/files.h"
#include "support/program.h"
#include "support/text.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;
namespace po = boost::program_options;

constexpr const char* usage =
    "Usage: kpatch-extract --function F[,G] [--externalize X[,Y]] [-o OUT.c] -- COMPILER ARGS FILE.c\n"
    "\n"
    "Writes the functions of FILE.c, and of its text after preprocessing what they need: types, inline functions,\n"
    "static functions. Variables that hold state are declared, never copied.\n"
    "\n"
    "Exit: 0 written, 1 error, 2 it can't be extracted (each reason named).\n";

struct CommandLine {
  std::set<std::string> functions, externalize;
  std::string output = "-";
  bool whole_types = false;
  std::vector<std::string> command;
};

std::set<std::string> names_in(const std::vector<std::string>& lists) {
  std::set<std::string> names;
  for (const std::string& list : lists)
    for (const std::string_view name : fields_of(list, ','))
      if (!name.empty()) names.emplace(name);
  return names;
}

// Nothing when help or the version was asked for.
std::optional<CommandLine> parse(int argc, char** argv) {
  char** const end = argv + argc;
  char** const dashes = std::find_if(argv, end, [](const char* word) { return std::string_view(word) == "--"; });
  CommandLine line;
  std::vector<std::string> functions, externalize;
  po::options_description known("Options");
  known.add_options()("function,f", po::value(&functions)->value_name("NAMES"), "functions to extract")(
      "externalize,x", po::value(&externalize)->value_name("NAMES"),
      "functions and variables to declare where they would be copied")(
      "output,o", po::value(&line.output)->value_name("FILE"), "where the text goes (default: standard output)")(
      "whole-types", po::bool_switch(&line.whole_types), "write every struct in full, also where its name would do")(
      "help,h", "this text")("version", "the version");
  po::variables_map given;
  try {
    po::store(po::command_line_parser(static_cast<int>(dashes - argv), argv).options(known).positional({}).run(),
              given);
    po::notify(given);
  } catch (const po::error& error) {
    throw Error(error.what());
  }
  if (given.contains("help")) {
    fmt::print("{}\n", usage);
    std::ostringstream text;
    text << known;
    fmt::print("{}", text.str());
    return std::nullopt;
  }
  if (given.contains("version")) {
    fmt::print("kpatch-extract {}\n", KPATCH_VERSION);
    return std::nullopt;
  }
  line.functions = names_in(functions);
  line.externalize = names_in(externalize);
  if (line.functions.empty()) throw Error("--function: names no function");
  if (dashes != end) line.command.assign(dashes + 1, end);
  if (line.command.size() < 2) throw Error("behind -- must be the compiler's command: kpatch-extract … -- gcc -O2 a.c");
  return line;
}

struct Temporary {
  fs::path path = fs::temp_directory_path() / ("kpatch-extract." + random_name());
  Temporary() { fs::create_directory(path); }
  ~Temporary() { remove_tree(path); }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
};

int run(const CommandLine& line) {
  const Temporary temporary;
  Executor executor(temporary.path / "log");
  std::string text = preprocess(line.command, {}, temporary.path / "unit.i", executor);
  std::error_code unknown;
  const SourceUnit unit(std::move(text), line.command, {fs::current_path(unknown).string()});
  std::set<std::string> unused = line.externalize;
  ExtractRequest request;
  request.functions = line.functions;
  request.whole_types = line.whole_types;
  request.heading = fmt::format("{}, by kpatch-extract {}", joined(line.functions, ", "), KPATCH_VERSION);
  request.decide = [&](const Subject& subject) {
    unused.erase(subject.name);
    const bool state = subject.kind == Subject::Kind::variable && subject.writable && subject.function.empty();
    return Treatment{!state && !line.externalize.contains(subject.name) &&
                         (subject.internal || subject.kind == Subject::Kind::variable),
                     {}};
  };
  const Extraction extraction = unit.extract(request);
  for (const Finding& finding : sorted(extraction.findings)) fmt::print(stderr, "{}\n", text_of(finding));
  if (extraction.text.empty()) return exit_unpatchable;
  for (const std::string& name : unused)
    fmt::print(stderr, "warning: --externalize {}: nothing that is extracted uses a definition of it\n", name);
  if (line.output == "-")
    fmt::print("{}", extraction.text);
  else
    write_file(line.output, extraction.text);
  return exit_ok;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program(
      [&] {
        const std::optional<CommandLine> line = parse(argc, argv);
        return line ? run(*line) : exit_ok;
      },
      "kpatch-extract: ");
}
