// kpatch-mutants: makes modules wrong in one small way, and counts which check refuses them.
//
//     kpatch-mutants [-n NUMBER] [-v] INPUTS…
//     kpatch-mutants [-n NUMBER] --write DIR VMLINUX KO
//
// INPUTS: inputs.json of builds that kept their scratch directory. NUMBER: at most so many mutants of a kind and module,
// spread over all places; 0 for all. Prints a table; fails when a good module is refused, or a mutant is not.
//
// --write makes those of a module that anybody built, and judges none: DIR/MISTAKE.NUMBER.ko, for kpatch-verify.
#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <vector>

#include "klp/judge.h"
#include "klp/mutants.h"
#include "support/error.h"
#include "support/standard-output.h"

namespace {

using namespace kpatch;
namespace fs = std::filesystem;

struct Count {
  size_t made = 0, by_audit = 0, by_delivery = 0, by_both = 0, unread = 0;
};

// The mistakes of a kind that are made of a module: at most so many, spread over all places; 0 for all.
std::vector<size_t> chosen(const KlpElf& good, const MutantKind& kind, const Binary& vmlinux, size_t most) {
  size_t places = 0;
  for (KlpElf copy = good; kind.make(copy, vmlinux, places); copy = good) ++places;
  const size_t number = most == 0 ? places : std::min(places, most);
  std::vector<size_t> list;
  for (size_t i = 0; i < number; ++i) list.push_back(number == places ? i : i * places / number);
  return list;
}

// Prints one line a mutant: its file, and what was done.
void write_mutants(const fs::path& folder, const fs::path& kernel, const fs::path& module, size_t most) {
  const Binary vmlinux = Binary::open(kernel);
  const KlpElf good = KlpElf::read(module);
  fs::create_directories(folder);
  for (const MutantKind& kind : mutant_kinds())
    for (const size_t which : chosen(good, kind, vmlinux, most)) {
      KlpElf mutant = good;
      const auto what = kind.make(mutant, vmlinux, which);
      if (!what || what->empty()) continue;
      std::string name(kind.name);
      std::replace(name.begin(), name.end(), ' ', '-');
      std::erase_if(name, [](char c) { return c == '(' || c == ')' || c == '\''; });
      const fs::path file = folder / fmt::format("{}.{}.ko", name, which);
      mutant.write(file);
      fmt::print("{}\t{}\n", file.filename().string(), *what);
    }
}

class Trial {
 public:
  Trial(size_t most, bool verbose, fs::path file) : most_(most), verbose_(verbose), file_(std::move(file)) {}

  void run(const fs::path& inputs) {
    Judge judge(inputs);
    const auto findings = judge.judge(judge.module());
    for (const Finding& finding : findings) fmt::print("{}: refused: {}\n", inputs.string(), text_of(finding));
    failed_ += findings.size();
    const KlpElf good = KlpElf::read(judge.module());
    for (const MutantKind& kind : mutant_kinds())
      for (const size_t which : chosen(good, kind, judge.vmlinux(), most_)) try_one(judge, good, kind, which);
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
  fs::path written;
  int at = 1;
  for (; at < argc && argv[at][0] == '-'; ++at) {
    const std::string_view option = argv[at];
    if (option == "-v") {
      verbose = true;
    } else if (option == "-n" && at + 1 < argc) {
      const std::string_view text = argv[++at];
      std::from_chars(text.data(), text.data() + text.size(), most);
    } else if (option == "--write" && at + 1 < argc) {
      written = argv[++at];
    } else {
      at = argc;
    }
  }
  if (at >= argc || (!written.empty() && argc - at != 2)) {
    fmt::print(stderr,
               "usage: kpatch-mutants [-n NUMBER] [-v] INPUTS...\n"
               "       kpatch-mutants [-n NUMBER] --write DIR VMLINUX KO\n");
    return 1;
  }
  if (!written.empty()) {
    try {
      write_mutants(written, argv[at], argv[at + 1], most);
      return after_output(0);
    } catch (const std::exception& error) {
      fmt::print(stderr, "kpatch-mutants: {}\n", error.what());
      return 1;
    }
  }
  const fs::path folder = fs::temp_directory_path() / fmt::format("kpatch-mutants-{}", getpid());
  fs::create_directories(folder);
  int status = 1;
  try {
    Trial trial(most, verbose, folder / "mutant.ko");
    for (; at < argc; ++at) trial.run(argv[at]);
    status = after_output(trial.report() ? 0 : 1);
  } catch (const std::exception& error) {
    fmt::print(stderr, "kpatch-mutants: {}\n", error.what());
  }
  fs::remove_all(folder);
  return status;
}
