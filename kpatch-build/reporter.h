// The one place that prints what the stages found, picks the exit status, and writes the report.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kpatch-build/build-report.h"
#include "kpatch-build/diff-pairs.h"
#include "kpatch-build/options.h"
#include "patch/patch.h"
#include "support/console.h"
#include "support/result.h"

namespace kpatch {

// Thrown when the build ends before there is a module. Everything was said.
struct Ended {};

class Reporter {
 public:
  Reporter(const Options& options, Console& console) : options_(options), console_(console) {}

  // Prints what a stage found and gives its value. Throws Ended where it has none.
  template <typename T>
  T take(Result<T> result) {
    take(std::move(result.findings));
    if (!result.value) end(std::move(result.no_change));
    return std::move(*result.value);
  }
  // The same for a stage that only judges. Throws Ended when there is a refusal or an error.
  void take(std::vector<Finding> findings);
  // What the differ said of all pairs: prints it, explained where that was asked for, and keeps it for the report. Throws
  // Ended when one of them can't be patched.
  void take_compared(std::vector<PairReport> objects);

  // What an exception said: the build has failed.
  void fail(std::string_view message);

  void know_patches(const std::vector<PatchText>& patches);
  void know_module(std::string name) { facts_.module = std::move(name); }
  // What is patched in the end, where it isn't what the differ said.
  void know_objects(std::vector<PairReport> objects) { facts_.objects = std::move(objects); }
  void know_content(LivepatchContent content) { facts_.livepatch = std::move(content); }
  void know_release(std::string release) { facts_.release = std::move(release); }
  void know_size(ModuleSize size) { facts_.size = size; }
  void know_no_listings(std::string why) { facts_.no_listings = std::move(why); }

  // What is known so far.
  const BuildFacts& facts() const { return facts_; }
  // Of what was taken so far: the exit code.
  int status() const { return facts_.status; }
  // Throws Error when the report could not be written, before all work.
  void try_report();
  // --report, where it was asked for. A report that can't be written is a warning: the build is worth more than it.
  void write();

 private:
  void print(const std::vector<Finding>& findings);
  void point_to_rules(const std::vector<Finding>& findings);
  [[noreturn]] void end(std::string no_change);

  const Options& options_;
  Console& console_;
  BuildFacts facts_;
  bool can_report_ = true;
};

}  // namespace kpatch
