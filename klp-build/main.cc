// klp-build: livepatches from source for many kernels.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "klp-build/codestream-job.h"
#include "klp-build/commands.h"
#include "support/error.h"
#include "support/files.h"
#include "support/program.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;

struct Entry {
  std::string_view name;
  int (*run)(KlpContext&);
};
constexpr std::array entries = {Entry{"setup", setup_project},
                                Entry{"scan", scan_codestreams},
                                Entry{"get-patches", get_patches},
                                Entry{"check-inline", check_inline},
                                Entry{"extract", extract_project},
                                Entry{"cs-diff", diff_codestreams},
                                Entry{"commit", commit_branches},
                                Entry{"push", build_project},
                                Entry{"status", show_status},
                                Entry{"log", show_log},
                                Entry{"cleanup", clean_project},
                                Entry{"prepare-tests", prepare_tests},
                                Entry{"format-patches", format_patches},
                                Entry{"data", care_for_data},
                                Entry{"clean-sources", clean_sources}};

struct Log {
  fs::path path = fs::temp_directory_path() / ("klp-build.log." + random_name());
  Log() = default;
  ~Log() { remove_tree(path); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
};

int run(const KlpCommandLine& line) {
  if (line.command == "run-job") return run_job(line.job);
  Console console(line.verbosity);
  std::string said;
  KlpSettings settings = read_settings(said);
  if (!said.empty()) console.info(said);
  const Log log;
  Executor executor(log.path, [&](std::string_view command) { console.command(command); });
  KlpContext context{line, std::move(settings), console, executor};
  const auto entry = std::ranges::find(entries, line.command, &Entry::name);
  KPATCH_ASSERT(entry != entries.end());
  return entry->run(context);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program(
      [&] {
        const std::optional<KlpCommandLine> line = parse_klp_options(argc, argv);
        return line ? run(*line) : exit_ok;
      },
      "klp-build: ");
}
