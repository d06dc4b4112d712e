// `lookup` shows what the library knows of a vmlinux or a module, for people and for scripts:
//
//   $ lookup vmlinux --symbol show
//   ffffffff81302f20     78 function local  sympos 1 core.c ftrace
//   ffffffff813a1e40     41 function local  sympos 2 sysfs.c ftrace landing pad sealed
//
// and makes the index of a vmlinux.
#include <elf.h>

#include <algorithm>
#include <iostream>
#include <string>

#include <fmt/format.h>
#include <boost/program_options.hpp>

#include "lookup/binary.h"
#include "support/error.h"
#include "support/standard-output.h"

namespace kpatch {
namespace {

namespace po = boost::program_options;

std::string_view type_name(SymbolType type) {
  switch (type) {
    case SymbolType::none:
      return "notype";
    case SymbolType::object:
      return "object";
    case SymbolType::function:
      return "function";
    case SymbolType::section:
      return "section";
    case SymbolType::file:
      return "file";
    case SymbolType::common:
      return "common";
    case SymbolType::tls:
      return "tls";
    case SymbolType::ifunc:
      return "ifunc";
  }
  return "";
}

std::string_view binding_name(SymbolBinding binding) {
  switch (binding) {
    case SymbolBinding::local:
      return "local";
    case SymbolBinding::global:
      return "global";
    case SymbolBinding::weak:
      return "weak";
  }
  return "";
}

int show_symbol(const Binary& parent, const std::string& name) {
  std::span<const uint32_t> found = parent.named(name);
  for (uint32_t index : found) {
    const BinarySymbol& symbol = parent.symbols()[index];
    fmt::print("{:016x} {:6} {:8} {:6} sympos {}", symbol.value, symbol.size, type_name(symbol.type),
               binding_name(symbol.binding), parent.sympos(index));
    if (parent.relocatable()) fmt::print(" {}", parent.section_name(symbol.section));
    if (symbol.file != BinarySymbol::no_file) fmt::print(" {}", parent.files()[symbol.file].name);
    if (symbol.has_ftrace_site) fmt::print(" ftrace");
    if (symbol.has_landing_pad) fmt::print(" landing pad");
    if (symbol.landing_pad_sealed) fmt::print(" sealed");
    fmt::print("\n");
  }
  if (found.empty()) fmt::print(stderr, "lookup: no symbol '{}'\n", name);
  return found.empty() ? exit_error : exit_ok;
}

int show_struct(const Binary& parent, const std::string& name) {
  std::optional<uint64_t> size = parent.struct_size(name);
  if (size) fmt::print("{}\n", *size);
  if (!size) fmt::print(stderr, "lookup: no size of struct '{}'\n", name);
  return size ? exit_ok : exit_error;
}

void show_facts(const Binary& parent) {
  size_t sites = 0;
  size_t sealed = 0;
  for (const BinarySymbol& symbol : parent.symbols()) {
    sites += symbol.has_ftrace_site;
    sealed += symbol.landing_pad_sealed;
  }
  fmt::print(
      "kind: {}\nmachine: {}\nsymbols: {}\nfiles: {}\nfunctions with an ftrace site: {}\nsealed landing pads: {}\n",
      parent.relocatable() ? "relocatable" : "vmlinux", parent.machine(), parent.symbols().size(),
      parent.files().size(), sites, sealed);
  if (!parent.build_id().empty()) fmt::print("build id: {}\n", parent.build_id());
  if (!parent.banner().empty()) fmt::print("banner: {}\n", parent.banner());
  if (!parent.producer().empty()) fmt::print("producer: {}\n", parent.producer());
}

int run(int argc, char** argv) {
  po::options_description options("Options");
  options.add_options()("help,h", "show this text")("version", "show the version")(
      "symbol", po::value<std::string>()->value_name("NAME"), "every symbol of that name, in the kernel's order")(
      "struct", po::value<std::string>()->value_name("NAME"), "the size of a struct, in bytes")(
      "units", "the translation units, one a line")("index", po::value<std::string>()->value_name("OUT"),
                                                    "write an index, which opens faster");
  po::options_description hidden;
  hidden.add_options()("file", po::value<std::string>());
  po::options_description all;
  all.add(options).add(hidden);
  po::positional_options_description positional;
  positional.add("file", 1);
  po::variables_map given;
  po::store(po::command_line_parser(argc, argv).options(all).positional(positional).run(), given);
  if (given.count("help")) {
    std::cout
        << "Usage: lookup FILE [options]\nShows what vmlinux or a module (.ko, .ko.xz, .ko.gz, .ko.zst, its index, or "
           "the output of readelf -s --wide) holds.\nWithout options: a summary.\n\n"
        << options;
    return exit_ok;
  }
  if (given.count("version")) {
    std::cout << "lookup " KPATCH_VERSION "\n";
    return exit_ok;
  }
  if (!given.count("file")) throw Error("name a file (see lookup --help)");
  Binary parent = Binary::open(given["file"].as<std::string>());
  int result = exit_ok;
  if (given.count("symbol")) result = std::max(result, show_symbol(parent, given["symbol"].as<std::string>()));
  if (given.count("struct")) result = std::max(result, show_struct(parent, given["struct"].as<std::string>()));
  if (given.count("units"))
    for (std::string_view unit : parent.units()) fmt::print("{}\n", unit);
  if (given.count("index")) parent.write_index(given["index"].as<std::string>());
  if (!given.count("symbol") && !given.count("struct") && !given.count("units") && !given.count("index"))
    show_facts(parent);
  return result;
}

}  // namespace
}  // namespace kpatch

int main(int argc, char** argv) {
  try {
    return kpatch::after_output(kpatch::run(argc, argv));
  } catch (const std::exception& problem) {
    fmt::print(stderr, "lookup: {}\n", problem.what());
    return kpatch::exit_error;
  }
}
