// Which kernels a plan means
//
//     6.12.117+deb12-cloud-amd64      that one: its version is asked of the archive that has it
//     trixie:*-cloud-amd64            all of trixie and its backports whose name fits
//     6.1.*-cloud-amd64               of any suite
//
// A pattern is read anew in each run, so that kernels that came meanwhile are in it.
#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <map>

#include "fleet/fleet.h"
#include "kernel/kernel.h"
#include "support/error.h"

namespace kpatch {
namespace {

class Archives {
 public:
  Archives(const Plan& plan, Console& console)
      : plan_(plan),
        console_(console),
        cache_(Cache::default_root(), console),
        executor_(cache_.root() / "logs" / "kpatch-fleet.log") {}

  FleetKernel one(const std::string& release) {
    const Distro* distro = distro_of_release(release);
    if (!distro) distro = running_distro();
    if (!distro || !distro->newest_version || !distro->fetch_source)
      return {release, {}, "kernels of its kind aren't fetched"};
    try {
      FleetKernel kernel{release, distro->newest_version(release, tools("")), {}};
      if (kernel.version.empty()) kernel.problem = "no archive has it";
      return kernel;
    } catch (const Error& error) {
      return {release, {}, error.what()};
    }
  }

  std::vector<FleetKernel> matching(const std::string& suite, const std::string& pattern) {
    std::vector<FleetKernel> found;
    for (const StockKernel& kernel : listed(suite))
      if (fnmatch(pattern.c_str(), kernel.release.c_str(), 0) == 0)
        found.push_back({kernel.release, kernel.version, kernel.missing.empty() ? "" : "no " + kernel.missing});
    return found;
  }

 private:
  DistroTools tools(const std::string& suite) {
    return {cache_, executor_, console_, plan_.archive, plan_.archive_key, suite};
  }

  const std::vector<StockKernel>& listed(const std::string& suite) {
    const auto [place, is_new] = lists_.try_emplace(suite);
    std::vector<StockKernel>& list = place->second;
    if (!is_new) return list;
    const Distro* distro = running_distro();
    if (!distro || !distro->list) throw Error("a pattern of kernels: archives of this system's kind aren't read yet");
    distro->list(tools(suite), [&](const std::vector<StockKernel>& kernels, const std::string& problem) {
      // A suite that can't be looked into would be a row that is missing in silence.
      if (!problem.empty()) throw Error(problem);
      list.insert(list.end(), kernels.begin(), kernels.end());
    });
    return list;
  }

  const Plan& plan_;
  Console& console_;
  Cache cache_;
  Executor executor_;
  std::map<std::string, std::vector<StockKernel>> lists_;
};

bool is_pattern(std::string_view word) { return word.find_first_of("*?[") != std::string_view::npos; }

}  // namespace

std::vector<FleetKernel> kernels_of(const Plan& plan, Console& console) {
  Archives archives(plan, console);
  std::vector<FleetKernel> all;
  const auto add = [&](const FleetKernel& kernel) {
    const auto same = std::ranges::find(all, kernel.release, &FleetKernel::release);
    if (same == all.end())
      all.push_back(kernel);
    else if (!same->problem.empty())
      *same = kernel;  // another suite may have what this one lacks
  };
  for (const std::string& word : plan.kernels) {
    const size_t colon = word.find(':');
    const std::string suite = colon == std::string::npos ? "" : word.substr(0, colon);
    const std::string pattern = colon == std::string::npos ? word : word.substr(colon + 1);
    if (suite.empty() && !is_pattern(pattern)) {
      add(archives.one(pattern));
      continue;
    }
    const std::vector<FleetKernel> found = archives.matching(suite, pattern);
    if (found.empty()) throw Error(fmt::format("{}: no kernel of the archives is called so", word));
    for (const FleetKernel& kernel : found) add(kernel);
  }
  return all;
}

}  // namespace kpatch
