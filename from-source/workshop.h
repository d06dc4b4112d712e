// What all steps share: the kernel, its compiler's commands, its shipped files.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kbuild/kbuild.h"
#include "kernel/kernel.h"
#include "lookup/lookup.h"
#include "patch/patch.h"
#include "support/console.h"
#include "support/error.h"
#include "support/executor.h"
#include "support/finding.h"

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
  // All outlive it. scratch: a folder to work in, which is there.
  Workshop(const Base& base, Cache& cache, Executor& executor, Console& console, std::filesystem::path scratch);

  // How the kernel compiles a source for a module; module empty: whichever it is. Throws ExitError 42 when it doesn't, or
  // when several do.
  CompileCommand command_of(const std::string& source, const std::string& module);
  // The compiler's words for a unit of the unpatched source, or of the view. They run in base().kbuild.
  std::vector<std::string> words(const CompileCommand& command, Variant variant, PatchedView& view) const;
  void compile(std::vector<std::string> words, const std::filesystem::path& output, const std::string& what);

  // The unpatched source's object with a section for each function, and DWARF; compiled once. Throws Error.
  std::filesystem::path original_object(const CompileCommand& command);

  // What runs of an object's module (empty: vmlinux), by the file that still says which source a local symbol is from:
  // shipped modules have lost that. Throws Error when it isn't shipped.
  const Binary& running(const std::string& module);

  // A folder of headers that let code test keys instead of branching on them (CompileSettings); for all units from here on.
  void use_key_headers(std::filesystem::path folder) { key_headers_ = std::move(folder); }

  const Base& base() const { return base_; }
  const Symvers& symvers() const { return symvers_; }
  ShippedBinaries& shipped() { return *shipped_; }
  Executor& executor() { return executor_; }
  Console& console() { return console_; }
  const std::filesystem::path& scratch() const { return scratch_; }

 private:
  const Base& base_;
  Cache& cache_;
  Executor& executor_;
  Console& console_;
  std::filesystem::path scratch_, key_headers_;
  Symvers symvers_;
  std::unique_ptr<ShippedBinaries> shipped_;
  std::map<std::string, Binary> running_;                                           // by module
  std::map<std::pair<std::string, std::string>, std::filesystem::path> originals_;  // by source and module
};

}  // namespace kpatch
