// klp-build's commands; each gives the exit code, and throws Error.
#pragma once

#include "klp-build/catalogue.h"
#include "klp-build/options.h"
#include "klp-build/project.h"
#include "klp-build/settings.h"
#include "support/console.h"
#include "support/executor.h"

namespace kpatch {

struct KlpContext {
  const KlpCommandLine& line;
  KlpSettings settings;
  Console& console;
  Executor& executor;
};

// All codestreams there are; asks the archive the first time.
std::vector<Codestream> all_codestreams(KlpContext& context, bool ask_anew);
// Kernels that were codestreams of that data_dir once, and are none any more.
std::vector<std::string> former_kernels(const std::filesystem::path& data, const std::vector<Codestream>& now);
// Those that --filter means. Throws Error, with what there is, when it means none.
std::vector<Codestream> chosen_codestreams(KlpContext& context);
// Those of a project that --filter means.
std::vector<ProjectCodestream> chosen_of(const KlpContext& context, const Project& project);

int setup_project(KlpContext& context);
int scan_codestreams(KlpContext& context);
int get_patches(KlpContext& context);
int check_inline(KlpContext& context);

int extract_project(KlpContext& context);
int diff_codestreams(KlpContext& context);
int build_project(KlpContext& context);
int show_status(KlpContext& context);
int show_log(KlpContext& context);
int clean_project(KlpContext& context);
int care_for_data(KlpContext& context);
int clean_sources(KlpContext& context);

int commit_branches(KlpContext& context);
void push_branches(KlpContext& context, const Project& project);
int format_patches(KlpContext& context);

int prepare_tests(KlpContext& context);
// A project's test in kgr_patches_tests_dir; empty when there is none.
std::filesystem::path kept_test_of(const std::filesystem::path& folder, const std::string& name);

// Groups of codestreams with equal sources, each sorted, by their first names.
std::vector<std::vector<std::string>> groups_of(const Project& project);
// A source as it is compared: without the lines that declarations come from and what macros number.
std::string normalised(const std::string& source);
// Prints what jobs said, each line with its codestream. Gives how many failed.
size_t show_results(KlpContext& context, const std::vector<struct JobResult>& results);

}  // namespace kpatch
