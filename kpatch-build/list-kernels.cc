#include "kpatch-build/list-kernels.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "kernel/kernel.h"
#include "kpatch-build/delivery.h"
#include "support/error.h"
#include "support/executor.h"

namespace kpatch {

int list_kernels(const Options& options, Console& console) {
  const Distro* distro = running_distro();
  if (!distro || !distro->list) throw Error("--list-kernels: archives of this system's kind aren't read yet");
  Cache cache(Cache::default_root(), console);
  Executor executor(new_log(cache.root() / "logs"), [&](std::string_view line) { console.command(line); });
  int status = exit_ok;
  std::string suite;
  distro->list({cache, executor, console, options.archive, options.archive_key, *options.list_kernels},
               [&](const std::vector<StockKernel>& kernels, const std::string& problem) {
                 if (!problem.empty()) {
                   console.warning(problem);
                   status = exit_error;
                 }
                 for (const StockKernel& kernel : kernels) {
                   if (std::exchange(suite, kernel.suite) != kernel.suite) console.info(kernel.suite);
                   console.info(fmt::format("  {:<32} {}{}", kernel.release, kernel.version,
                                            kernel.missing.empty() ? "" : ": no " + kernel.missing));
                 }
               });
  return status;
}

}  // namespace kpatch
