// What all steps share: the kernel, its compiler's commands, its shipped files.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kbuild/kbuild.h"
#include "kernel/kernel.h"
#include "kpatch-build/kpatch-build.h"
#include "lookup/lookup.h"
#include "support/console.h"
#include "support/error.h"
#include "support/executor.h"

namespace kpatch {

// An Error with the exit code that klpmake's users know it by.
struct ExitError : Error {
  ExitError(int code, const std::string& what) : Error(what), code(code) {}
  int code;
};

// Prints what is found. Throws ExitError (exit_unpatchable) when something of it ends the run.
void report(Console& console, std::vector<Finding> findings);

class Workshop {
 public:
  // kernel: the options of kpatch-build that say which. Throws Error when there is no such kernel.
  Workshop(Options kernel, unsigned verbosity);

  // How the kernel compiles a source for a module; module empty: whichever it is. Throws ExitError 42 when it doesn't, or
  // when several do.
  CompileCommand command_of(const std::string& source, const std::string& module);
  // The compiler's words for a unit of the unpatched source, or of the view. They run in base().kbuild.
  std::vector<std::string> words(const CompileCommand& command, Variant variant, PatchedView& view) const;
  void compile(std::vector<std::string> words, const std::filesystem::path& output, const std::string& what);

  // What runs of an object's module (empty: vmlinux), by the file that still says which source a local symbol is from:
  // shipped modules have lost that. Throws Error when it isn't shipped.
  const Binary& running(const std::string& module);

  const Base& base() const { return base_; }
  const Symvers& symvers() const { return symvers_; }
  ShippedBinaries& shipped() { return *shipped_; }
  Executor& executor() { return executor_; }
  Console& console() { return console_; }
  const std::filesystem::path& scratch() const { return scratch_.path(); }

 private:
  Console console_;
  Cache cache_;
  Executor executor_;
  ScratchDirectory scratch_;
  Options options_;
  Base base_;
  Symvers symvers_;
  std::unique_ptr<ShippedBinaries> shipped_;
  std::map<std::string, Binary> running_;  // by module
};

}  // namespace kpatch
