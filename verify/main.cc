// kpatch-verify: what speaks against loading a livepatch, whoever made it.
#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "kernel/kernel.h"
#include "support/answer.h"
#include "support/error.h"
#include "support/program.h"
#include "verify/verify.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;
namespace po = boost::program_options;

struct VerifyOptions {
  fs::path module, vmlinux, modules, symvers;
  std::string release;
  bool json = false;
};

std::optional<VerifyOptions> parse(int argc, char** argv) {
  VerifyOptions options;
  std::vector<std::string> files;
  std::string modules, symvers;
  po::options_description visible("Options");
  visible.add_options()("archversion,a", po::value(&options.release)->value_name("RELEASE"),
                        "judge it for this kernel, whose files are installed, cached or fetched as kpatch-build does")(
      "modules,m", po::value(&modules)->value_name("DIR"), "the kernel's modules (default: /lib/modules/RELEASE)")(
      "symvers", po::value(&symvers)->value_name("FILE"), "its Module.symvers (default: beside VMLINUX)")(
      "json", po::bool_switch(&options.json), "answer for programs")("version", "print the version")("help,h",
                                                                                                     "print this help");
  const po::variables_map values = parse_program_options(argc, argv, visible, files, "kpatch-verify");
  if (values.contains("help")) {
    std::cout
        << "Usage: kpatch-verify [options] KO [VMLINUX]\n"
           "What speaks against loading a livepatch, whoever made it. Without VMLINUX or -a: by the file alone.\n\n"
        << visible
        << "\nExit status: 0 nothing speaks against it; 1 it can't be read; 2 something does, each is named.\n"
           "Manual: kpatch-verify(1)\n";
    return std::nullopt;
  }
  if (values.contains("version")) {
    std::cout << "kpatch-verify " KPATCH_VERSION "\n";
    return std::nullopt;
  }
  if (files.empty() || files.size() > 2) throw Error("give a module, and a vmlinux or none; see kpatch-verify --help");
  options.module = files[0];
  if (files.size() == 2) options.vmlinux = files[1];
  options.modules = modules;
  options.symvers = symvers;
  return options;
}

// The kernel's files, opened.
class Kernel {
 public:
  explicit Kernel(const VerifyOptions& options) : console_(0), cache_(Cache::default_root(), console_) {
    KernelFiles files;
    files.vmlinux = options.vmlinux;
    files.modules = options.modules;
    files.symvers = options.symvers;
    if (!options.release.empty()) {
      Executor executor(cache_.root() / "logs" / "kpatch-verify.log");
      files.source = ".";  // isn't asked for
      files = find_release(options.release, files, {cache_, executor, console_});
    }
    if (files.vmlinux.empty()) return;
    vmlinux_ = Binary::open(vmlinux_index(files.vmlinux, cache_, console_));
    kernel_.vmlinux = &*vmlinux_;
    kernel_.release = release_of_banner(vmlinux_->banner());
    if (kernel_.release.empty())
      throw Error(fmt::format("{} is no vmlinux: it has no linux_banner", files.vmlinux.string()));
    if (!options.release.empty() && kernel_.release != files.release)
      throw Error(fmt::format("{} is of {}, not of {}", files.vmlinux.string(), kernel_.release, files.release));
    find_beside(files);
    if (!files.symvers.empty()) kernel_.symvers = &symvers_.emplace(Symvers::read(files.symvers));
    if (files.modules.empty()) return;
    modules_.emplace(files.modules);
    kernel_.vermagic = modules_->vermagic();
    kernel_.open_module = [this](std::string_view name) { return modules_->named(name); };
  }
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  const VerifyKernel& get() const { return kernel_; }

 private:
  // As the kernel's own build and `make modules_install` leave them.
  void find_beside(KernelFiles& files) const {
    const fs::path installed = fs::path("/lib/modules") / kernel_.release;
    std::error_code absent;
    if (files.symvers.empty())
      for (const fs::path& folder : {files.vmlinux.parent_path(), installed / "build"})
        if (files.symvers.empty() && fs::exists(folder / "Module.symvers", absent))
          files.symvers = folder / "Module.symvers";
    if (files.modules.empty() && fs::is_directory(installed / "kernel", absent)) files.modules = installed / "kernel";
  }

  Console console_;
  Cache cache_;
  std::optional<Binary> vmlinux_;
  std::optional<Symvers> symvers_;
  std::optional<ModuleFolder> modules_;
  VerifyKernel kernel_;
};

int run(const VerifyOptions& options) {
  const Answer answer(options.json);
  std::optional<Kernel> kernel;
  if (!options.release.empty() || !options.vmlinux.empty()) kernel.emplace(options);
  const LivepatchVerdict verdict = verify(options.module, kernel ? kernel->get() : VerifyKernel{});
  answer.print(options.json
                   ? to_json(verdict, options.module).dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
                   : text_of(verdict, options.module));
  return verdict.good() ? exit_ok : exit_unpatchable;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] {
    const auto options = parse(argc, argv);
    return options ? run(*options) : exit_ok;
  });
}
