// kpatch-rebuild: makes a livepatch again from its statement of provenance, and compares the bytes.
#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "kpatch-build/diff-pairs.h"
#include "kpatch-build/provenance.h"
#include "support/error.h"
#include "support/files.h"
#include "support/program.h"
#include "support/scratch.h"
#include "support/sha256.h"
#include "support/text.h"
#include "support/unsigned-module.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;
namespace po = boost::program_options;

struct RebuildOptions {
  fs::path module, statement;
  std::vector<std::string> more;  // for kpatch-build
};

std::optional<RebuildOptions> parse(int argc, char** argv) {
  RebuildOptions options;
  std::vector<std::string> files;
  std::string statement;
  int own = argc;  // what stands behind -- is kpatch-build's
  for (int i = argc - 1; i > 0; --i)
    if (std::string_view(argv[i]) == "--") own = i;
  for (int i = own + 1; i < argc; ++i) options.more.emplace_back(argv[i]);
  po::options_description visible("Options");
  visible.add_options()("provenance", po::value(&statement)->value_name("FILE"),
                        "its statement (default: KO and .intoto.json)")("version", "print the version")(
      "help,h", "print this help");
  const po::variables_map values = parse_program_options(own, argv, visible, files, "kpatch-rebuild");
  if (values.contains("help")) {
    std::cout << "Usage: kpatch-rebuild [options] KO [-- OPTION...]\n"
                 "Makes a livepatch again from what --provenance of kpatch-build wrote, and compares the bytes.\n"
                 "What stands behind -- is for kpatch-build: where the kernel's files are, -j.\n\n"
              << visible
              << "\nExit status: 0 the same bytes; 1 it can't be told; 2 others: what differs is named.\n"
                 "Manual: kpatch-rebuild(1)\n";
    return std::nullopt;
  }
  if (values.contains("version")) {
    std::cout << "kpatch-rebuild " KPATCH_VERSION "\n";
    return std::nullopt;
  }
  if (files.size() != 1) throw Error("give one module; see kpatch-rebuild --help");
  options.module = files.front();
  options.statement = statement.empty() ? files.front() + ".intoto.json" : statement;
  return options;
}

// In the order in which they apply; each in a folder of its own, since two may have one name.
std::vector<std::string> write_patches(const Provenance& recorded, const fs::path& folder) {
  std::vector<std::string> files;
  for (const RecordedPatch& patch : recorded.patches) {
    const fs::path name = fs::path(patch.name).filename(), own = folder / fmt::to_string(files.size());
    if (name.empty() || name != patch.name) throw Error(fmt::format("'{}' is no name of a patch", patch.name));
    fs::create_directories(own);
    write_file(own / name, patch.text, Flush::no);
    files.push_back((own / name).string());
  }
  return files;
}

// What a statement alone could be made to say: no option of it names a file or a program.
void check_arguments(const Provenance& recorded) {
  constexpr std::string_view known[] = {
      "--non-replace",         "--full",       "--target=", "--ignore-whitespace", "--ack=",
      "--skip-compiler-check", "--skip-proof", "--fixes=",  "--from-source",       "--both"};
  for (const std::string& argument : recorded.arguments)
    if (std::ranges::none_of(
            known, [&](std::string_view k) { return k.ends_with('=') ? argument.starts_with(k) : argument == k; }))
      throw Error(fmt::format("'{}' is no option that a statement has", argument));
}

std::string say_differences(const Provenance& recorded, const Provenance& again) {
  std::string text;
  if (recorded.version != again.version)
    text += fmt::format("  kpatch-build: {}, and it was {}\n", again.version, recorded.version);
  for (const auto& [name, digest] : recorded.inputs) {
    const auto other = std::ranges::find(again.inputs, name, &std::pair<std::string, std::string>::first);
    if (other == again.inputs.end())
      text += fmt::format("  {}: isn't among the inputs here\n", name);
    else if (other->second != digest)
      text += fmt::format("  {}: {}, and it was {}\n", name, other->second, digest);
  }
  return text;
}

int run(const RebuildOptions& options) {
  const std::string module = read_file(options.module);
  const std::string statement = read_file(options.statement);
  Provenance recorded;
  try {
    recorded = read_provenance(statement);
    check_arguments(recorded);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", options.statement.string(), error.what()));
  }
  // It may have been signed since.
  if (sha256_of(module) != recorded.sha256 && sha256_of(std::string(without_signature(module))) != recorded.sha256)
    throw Error(fmt::format("{} is the statement of another module than {}", options.statement.string(),
                            options.module.string()));
  if (options.more.empty() && !recorded.given.empty())
    throw Error(fmt::format("it was made with {}: give them again behind --", joined(recorded.given, ", ")));
  const Scratch folder;
  const fs::path out = folder.path() / "out", again_file = folder.path() / "again.json";
  std::vector<std::string> argv = {
      own_program("kpatch-build"), "-a", recorded.release, "-n", recorded.name, "-o", out.string(), "--provenance",
      again_file.string()};
  argv.insert(argv.end(), recorded.arguments.begin(), recorded.arguments.end());
  argv.insert(argv.end(), options.more.begin(), options.more.end());
  const std::vector<std::string> patches = write_patches(recorded, folder.path() / "patches");
  argv.insert(argv.end(), patches.begin(), patches.end());
  Executor executor(folder.path() / "log");
  const CommandResult result = executor.run({.argv = argv, .directory = {}, .environment = {}, .outside = true});
  if (!result.ok()) throw Error(fmt::format("kpatch-build made no module:\n{}", result.output));
  const std::string made = read_file(out / (recorded.name + ".ko"));
  const std::string differences = say_differences(recorded, read_provenance(read_file(again_file)));
  const bool same = made == without_signature(module);
  std::cout << fmt::format("{}: {}\n", options.module.filename().string(),
                           same ? "the same bytes, made again" : "made again, it has other bytes");
  if (!differences.empty()) std::cout << "of other inputs:\n" << differences;
  if (!same && differences.empty()) std::cout << "of the same inputs\n";
  return same ? exit_ok : exit_unpatchable;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] {
    const auto options = parse(argc, argv);
    return options ? run(*options) : exit_ok;
  });
}
