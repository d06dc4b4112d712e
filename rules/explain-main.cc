// kpatch-explain: what a rule's name in a message means, with examples; "kpatch explain" runs it.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "rules/rules.h"
#include "support/answer.h"
#include "support/error.h"
#include "support/program.h"
#include "support/text.h"

namespace {

using namespace kpatch;
namespace po = boost::program_options;

bool coloured() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(STDOUT_FILENO) != 0 && (no_colour == nullptr || *no_colour == '\0') &&
         (terminal == nullptr || std::string_view(terminal) != "dumb");
}

// Lines of a wide terminal are hard to read.
unsigned page_width() {
  constexpr unsigned usual = 80, widest = 100, narrowest = 20;
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return usual;
  return std::clamp<unsigned>(size.ws_col, narrowest, widest);
}

const Rule& rule_of(std::string_view given) {
  // As a message has it: "[data-init]".
  const std::string_view name = trimmed(given, "[]");
  if (const Rule* rule = find_rule(name)) return *rule;
  const std::vector<std::string_view> near = near_rules(name);
  throw Error(near.empty() ? fmt::format("there is no rule {}; kpatch explain lists all of them", name)
                           : fmt::format("there is no rule {}; near: {}", name, joined(near, ", ")));
}

int explain(const std::vector<std::string>& names, bool json) {
  const Answer answer(json);
  std::vector<const Rule*> rules;
  for (const std::string& name : names) rules.push_back(&rule_of(name));
  if (json) {
    nlohmann::json list = nlohmann::json::array();
    if (names.empty())
      for (const Rule& rule : all_rules()) list.push_back(to_json(rule));
    for (const Rule* rule : rules) list.push_back(to_json(*rule));
    answer.print(nlohmann::json{{"version", 1}, {"rules", list}}.dump(2));
    return exit_ok;
  }
  std::string text = names.empty() ? rules_list(coloured()) : "";
  for (const Rule* rule : rules) text += (text.empty() ? "" : "\n\n") + rule_page(*rule, page_width(), coloured());
  std::cout << text;
  return exit_ok;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] {
    po::options_description options("Options");
    options.add_options()("json", po::bool_switch(), "for programs: the rules as JSON")(
        "help,h", po::bool_switch(), "print this help")("version", po::bool_switch(), "print the version");
    std::vector<std::string> names;
    const po::variables_map values = parse_program_options(argc, argv, options, names, "kpatch-explain");
    if (values["help"].as<bool>()) {
      std::cout << "Usage: kpatch-explain [options] [RULE...]\n"
                   "Tells what a rule means, the name in brackets at the end of a message; without one, lists all.\n\n"
                << options << "\nExit status: 0, or 1 when there is no such rule.\nManual: kpatch-explain(1)\n";
      return static_cast<int>(exit_ok);
    }
    if (values["version"].as<bool>()) {
      std::cout << "kpatch-explain " KPATCH_VERSION "\n";
      return static_cast<int>(exit_ok);
    }
    return explain(names, values["json"].as<bool>());
  });
}
