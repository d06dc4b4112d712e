// kpatch-mutants: makes modules wrong in one small way, and counts which check refuses them.
//
//     kpatch-mutants [-n NUMBER] [-v] INPUTS…
//
// INPUTS: inputs.json of builds that kept their scratch directory. NUMBER: at most so many mutants of a kind and module,
// spread over all places; 0 for all. Prints a table; fails when a good module is refused, or a mutant is not.
#include <fmt/format.h>

#include <unistd.h>
#include <charconv>

#include <cstdio>
#include <filesystem>
#include <map>
#include <set>

#include "klp/judge.h"
#include "klp/mutants.h"
#include "support/error.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;

struct Count {
  size_t made = 0, by_audit = 0, by_delivery = 0, by_both = 0, unread = 0;
};

class Trial {
 public:
  Trial(size_t most, bool verbose, fs::path file) : most_(most), verbose_(verbose), file_(std::move(file)) {}

  void run(const fs::path& inputs) {
    Judge judge(inputs);
    const auto findings = judge.judge(judge.module());
    for (const Finding& finding : findings) fmt::print("{}: refused: {}\n", inputs.string(), text_of(finding));
    failed_ += findings.size();
    const KlpElf good = KlpElf::read(judge.module());
    for (const MutantKind& kind : mutant_kinds()) {
      size_t places = 0;
      for (KlpElf copy = good; kind.make(copy, judge.vmlinux(), places); copy = good) ++places;
      const size_t number = most_ == 0 ? places : std::min(places, most_);
      for (size_t i = 0; i < number; ++i) try_one(judge, good, kind, number == places ? i : i * places / number);
    }
  }

  bool report() const {
    fmt::print("{:40} {:>6} {:>10} {:>10} {:>10} {:>10}\n", "mistake", "made", "audit", "delivery", "both",
               "unreadable");
    Count all;
    for (const MutantKind& kind : mutant_kinds()) {
      const auto found = counts_.find(kind.name);
      const Count c = found == counts_.end() ? Count{} : found->second;
      print(kind.name, c);
      all = {all.made + c.made, all.by_audit + c.by_audit, all.by_delivery + c.by_delivery, all.by_both + c.by_both,
             all.unread + c.unread};
    }
    print("all", all);
    fmt::print("{} passed that should not\n", failed_);
    return failed_ == 0;
  }

 private:
  static void print(std::string_view name, const Count& c) {
    fmt::print("{:40} {:>6} {:>10} {:>10} {:>10} {:>10}\n", name, c.made, c.by_audit, c.by_delivery, c.by_both,
               c.unread);
  }

  void try_one(Judge& judge, const KlpElf& good, const MutantKind& kind, size_t which) {
    KlpElf mutant = good;
    const auto what = kind.make(mutant, judge.vmlinux(), which);
    if (!what || what->empty()) return;
    mutant.write(file_);
    Count& count = counts_[kind.name];
    ++count.made;
    std::vector<Finding> findings;
    try {
      findings = judge.judge(file_);
    } catch (const Error&) {
      ++count.unread;
      return;
    }
    bool audit = false, delivery = false;
    for (const Finding& finding : findings) (finding.rule == "delivery" ? delivery : audit) = true;
    if (audit && delivery)
      ++count.by_both;
    else if (audit)
      ++count.by_audit;
    else if (delivery)
      ++count.by_delivery;
    if (findings.empty()) ++failed_;
    if (findings.empty() || verbose_)
      fmt::print("{}: {}: {}: {}\n", judge.module().filename().string(), kind.name, *what,
                 findings.empty() ? "PASSED" : text_of(findings.back()));
  }

  size_t most_;
  bool verbose_;
  fs::path file_;
  std::map<std::string_view, Count> counts_;
  size_t failed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  size_t most = 2;
  bool verbose = false;
  int at = 1;
  for (; at < argc && argv[at][0] == '-'; ++at) {
    const std::string_view option = argv[at];
    if (option == "-v") {
      verbose = true;
    } else if (option == "-n" && at + 1 < argc) {
      const std::string_view text = argv[++at];
      std::from_chars(text.data(), text.data() + text.size(), most);
    } else {
      at = argc;
    }
  }
  if (at >= argc) {
    fmt::print(stderr, "usage: kpatch-mutants [-n NUMBER] [-v] INPUTS...\n");
    return 1;
  }
  const fs::path folder = fs::temp_directory_path() / fmt::format("kpatch-mutants-{}", getpid());
  fs::create_directories(folder);
  int status = 1;
  try {
    Trial trial(most, verbose, folder / "mutant.ko");
    for (; at < argc; ++at) trial.run(argv[at]);
    status = trial.report() ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "kpatch-mutants: {}\n", error.what());
  }
  fs::remove_all(folder);
  return status;
}
