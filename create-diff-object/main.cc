// create-diff-object: compares an original and a patched object and writes what a livepatch needs of the difference.

#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <iostream>
#include <optional>

#include "create-diff-object/differ.h"
#include "support/error.h"
#include "support/files.h"
#include "support/standard-output.h"

namespace {

namespace options = boost::program_options;
using kpatch::Error;

constexpr const char* usage =
    "Usage: create-diff-object [options] ORIG.o PATCHED.o PARENT-NAME PARENT-SYMTAB MODULE.SYMVERS PATCH-NAME "
    "OUTPUT.o\n"
    "\n"
    "Compares ORIG.o and PATCHED.o and writes the changed and new code to OUTPUT.o.\n"
    "ORIG.o may be /dev/null for a file that is new in the patch. PARENT-NAME is vmlinux or the module's name;\n"
    "PARENT-SYMTAB its ELF file, an index made by lookup, or `readelf -s --wide` text.\n"
    "\n"
    "Exit: 0 written, 1 error, 2 the change can't be patched, 3 no functional change.\n";

struct CommandLine {
  kpatch::DifferInput input;
  std::string report;
  bool explain = false;
};

void add_struct_size(const std::string& text, std::map<std::string, uint64_t>& sizes) {
  const size_t equals = text.find('=');
  size_t used = 0;
  unsigned long long size = 0;
  try {
    if (equals != std::string::npos) size = std::stoull(text.substr(equals + 1), &used, 0);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || equals + 1 + used != text.size() || size == 0)
    throw Error(fmt::format("--struct-size {}: expected NAME=BYTES, for example bug_entry=12", text));
  sizes[text.substr(0, equals)] = size;
}

void add_made_global(const std::string& text, std::map<std::string, std::string>& made_global) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    throw Error(fmt::format("--made-global {}: expected NAME=FILE, for example chrdevs=char_dev.c", text));
  made_global[text.substr(0, equals)] = text.substr(equals + 1);
}

// Nothing when help or the version was asked for.
std::optional<CommandLine> parse(int argc, char** argv) {
  std::vector<std::string> files, sizes, made_global, needed, needs, unused, acknowledged;
  CommandLine line;
  options::options_description visible("Options");
  auto add = visible.add_options();
  add("help,h", "show this help");
  add("version", "show the version");
  add("struct-size", options::value(&sizes)->value_name("NAME=N"), "size of a kernel struct in bytes (repeatable)");
  add("made-global", options::value(&made_global)->value_name("NAME=FILE"),
      "a symbol that another file of the patch no longer calls static (repeatable)");
  add("needed", options::value(&needed)->value_name("NAME"),
      "a new variable that another object of the patch refers to (repeatable)");
  add("parent-needs", options::value(&needs)->value_name("MODULE"),
      "a module that is there while PARENT is, besides those that its .modinfo names (repeatable)");
  add("unused", options::value(&unused)->value_name("NAME"),
      "a function of PARENT that nothing in it refers to (repeatable)");
  add("ack", options::value(&acknowledged)->value_name("RULE"),
      "a rule whose refusal is to be a warning: data-layout (repeatable)");
  add("export-changes", options::value(&line.input.export_changes)->value_name("FILE"),
      "exports whose versions the patch changes: a line each, name, both CRCs and what changed");
  add("explain", options::bool_switch(&line.explain), "say why each function changed or was included");
  add("report", options::value(&line.report)->value_name("FILE"), "write the findings as JSON");
  add("listing", options::bool_switch(&line.input.listing),
      "put the instructions of changed and new functions into the report, with their source lines");
  add("debug-output", options::value(&line.input.debug_output)->value_name("FILE"),
      "write the output once more, with the debug information of PATCHED.o");
  options::options_description all;
  all.add(visible).add_options()("files", options::value(&files));
  options::positional_options_description positions;
  positions.add("files", -1);
  options::variables_map values;
  options::store(options::command_line_parser(argc, argv).options(all).positional(positions).run(), values);
  options::notify(values);
  if (values.count("help") != 0) {
    std::cout << usage << "\n" << visible;
    return std::nullopt;
  }
  if (values.count("version") != 0) {
    std::cout << "create-diff-object " KPATCH_VERSION "\n";
    return std::nullopt;
  }
  if (files.size() != 7) throw Error(fmt::format("expected 7 arguments, got {}; see --help", files.size()));
  line.input.orig = files[0];
  line.input.patched = files[1];
  line.input.parent_name = files[2];
  line.input.parent_symtab = files[3];
  line.input.symvers = files[4];
  line.input.output = files[6];
  line.input.explain = line.explain || !line.report.empty();
  for (const std::string& size : sizes) add_struct_size(size, line.input.struct_sizes);
  line.input.needed.insert(needed.begin(), needed.end());
  line.input.parent_needs.insert(needs.begin(), needs.end());
  line.input.unused.insert(unused.begin(), unused.end());
  line.input.acknowledged.insert(acknowledged.begin(), acknowledged.end());
  for (const std::string& name : made_global) add_made_global(name, line.input.made_global);
  return line;
}

void print_findings(const kpatch::DifferResult& result) {
  for (const kpatch::Finding& f : result.findings) std::cerr << kpatch::text_of(f) << "\n";
}

int run(const CommandLine& line) {
  const kpatch::DifferResult result = kpatch::run_differ(line.input);
  std::cout << kpatch::text_report(result, line.explain);
  print_findings(result);
  if (!line.report.empty()) {
    kpatch::write_file(line.report, kpatch::json_report(line.input, result));
  }
  return result.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto line = parse(argc, argv);
    return kpatch::after_output(line ? run(*line) : kpatch::exit_ok);
  } catch (const std::exception& error) {
    std::cerr << "create-diff-object: " << error.what() << "\n";
    return kpatch::exit_error;
  }
}
