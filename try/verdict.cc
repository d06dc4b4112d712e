// What has to hold, phase by phase:
//
//     before    load    after    unload    unloaded    control
//     fails     ·       passes   ·         fails       fails       the author's test
//               quiet   quiet    quiet                             the kernel's log, and its taint
//               all                                                its functions in sysfs, no others
//
// Before and after the livepatch, and with the module that redirects nothing, the kernel is the unpatched one: a test for a
// crash may well oops there, so that nothing is asked of the log. That a test passes there says nothing about the
// livepatch, and something about the test.
#include "try/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "klp/klp.h"
#include "lookup/lookup.h"
#include "support/error.h"
#include "support/text.h"

namespace kpatch {

namespace {

using std::string_view;

// kernel/panic.c and lib/bug.c, mm/, kernel/rcu, kernel/hung_task.c, kernel/watchdog.c; kernel/livepatch and
// kernel/module for their own.
constexpr auto complaints = std::to_array<string_view>({"------------[ cut here ]",
                                                        "WARNING: ",
                                                        "BUG: ",
                                                        "kernel BUG at ",
                                                        "Oops: ",
                                                        "general protection fault",
                                                        "Kernel panic",
                                                        "unable to handle",
                                                        "refcount_t: ",
                                                        "scheduling while atomic",
                                                        "detected stalls",
                                                        "self-detected stall",
                                                        "soft lockup",
                                                        "blocked for more than",
                                                        "livepatch: failed",
                                                        "Unknown symbol",
                                                        "Unpatched return thunk",
                                                        "unregister_netdevice: waiting",
                                                        "UBSAN: ",
                                                        "KASAN: "});

// Documentation/admin-guide/tainted-kernels.rst, from bit 0 on.
constexpr string_view taint_letters = "PFSRMBUDAWCIOELKXTN";
constexpr string_view livepatch_taints = "OEK";  // out of tree, unsigned, livepatch

constexpr auto patched_phases = std::to_array<string_view>({"load", "after", "unload"});

Finding finding(string_view rule, Severity severity, std::string message, std::string advice = {}) {
  return {std::string(rule), severity, {}, std::move(message), std::move(advice), {}};
}

std::string name_of(const PatchedName& f) {
  return f.sympos > 1 ? fmt::format("{}: {},{}", f.object, f.name, f.sympos) : fmt::format("{}: {}", f.object, f.name);
}

class Judge {
 public:
  Judge(const TrialInput& input, const TrialRecord& record) : input_(input), record_(record) {}

  std::vector<Finding> run(const std::vector<PatchedName>& expected) {
    judge_course();
    if (record_.phase("load") != nullptr) judge_log();
    judge_taint();
    // What didn't get so far has no list and no results.
    const TrialPhase* load = record_.phase("load");
    if (load != nullptr && load->taint) judge_functions(expected);
    if (!input_.test.empty()) judge_test();
    return std::move(findings_);
  }

 private:
  void fail(string_view rule, std::string message, std::string advice = {}) {
    findings_.push_back(finding(rule, Severity::error, std::move(message), std::move(advice)));
  }

  void judge_course() {
    const TrialPhase& last = record_.phases.back();
    if (!record_.release.empty() && record_.release != input_.kernel.release)
      fail("try-boot", fmt::format("{} booted, and the livepatch is for {}", record_.release, input_.kernel.release),
           "name the right image with --kernel");
    if (!last.broken.empty()) {
      const std::string why = kernels_words(last);
      fail(last.name == "guest" ? "try-boot" : "try-load",
           fmt::format("phase {}: {}{}", last.name, last.broken, why.empty() ? "" : "; the kernel: " + why));
    } else if (record_.timed_out) {
      fail("try-boot",
           fmt::format("phase {}: the guest didn't come to its end in {} s", last.name, input_.timeout.count()),
           stopped_once() ? fmt::format("{} doesn't end by itself, and takes its time in each phase",
                                        input_.test.filename().string())
                          : "a larger --timeout, where the guest is merely slow");
    } else if (!record_.ended) {
      const std::string why = kernels_words(last);
      const bool in_test = last.name == "before" || last.name == "unloaded" || last.name == "control";
      fail("try-boot", fmt::format("phase {}: the guest went down{}", last.name, why.empty() ? "" : ": " + why),
           in_test && !input_.test.empty()
               ? "the test may not take the unpatched kernel down: let it look for something milder"
               : "");
    }
  }

  bool stopped_once() const {
    return std::ranges::any_of(record_.phases, [](const TrialPhase& phase) { return phase.stopped.has_value(); });
  }

  // Its first complaint, else the last thing that it said.
  static std::string kernels_words(const TrialPhase& phase) {
    const auto bad = std::ranges::find_if(phase.console, is_complaint);
    if (bad != phase.console.end()) return *bad;
    return phase.console.empty() ? std::string() : phase.console.back();
  }

  void judge_log() {
    for (const string_view name : patched_phases) {
      const TrialPhase* phase = record_.phase(name);
      if (phase == nullptr) continue;
      const auto bad = std::ranges::find_if(phase->console, [](const std::string& line) { return is_complaint(line); });
      if (bad == phase->console.end()) continue;
      // A warning's text stands below the cut.
      const auto text =
          bad->find("[ cut here ]") != std::string::npos && bad + 1 != phase->console.end() ? bad + 1 : bad;
      fail("try-log", fmt::format("phase {}: the kernel complains: {}", name, *text));
    }
  }

  void judge_taint() {
    const TrialPhase* before = record_.phase("before");
    if (before == nullptr || !before->taint) return;
    for (const string_view name : patched_phases) {
      const TrialPhase* phase = record_.phase(name);
      if (phase == nullptr || !phase->taint) continue;
      const std::string strange = strange_taint(*before->taint, *phase->taint);
      if (strange.empty()) continue;
      fail("try-taint", fmt::format("phase {}: the kernel is tainted as by no livepatch: {}", name, strange),
           "Documentation/admin-guide/tainted-kernels.rst tells what the letters mean");
      return;
    }
  }

  void judge_functions(const std::vector<PatchedName>& expected) {
    std::vector<std::string> missing, surplus;
    for (const PatchedName& f : expected)
      if (!std::ranges::binary_search(record_.functions, f)) missing.push_back(name_of(f));
    for (const PatchedName& f : record_.functions)
      if (!std::ranges::binary_search(expected, f)) surplus.push_back(name_of(f));
    if (!missing.empty())
      fail("try-functions", fmt::format("the kernel doesn't redirect {}", fmt::join(missing, ", ")));
    if (!surplus.empty())
      fail("try-functions",
           fmt::format("the kernel redirects what the module doesn't name: {}", fmt::join(surplus, ", ")));
  }

  std::optional<int> test_of(string_view name) const {
    const TrialPhase* phase = record_.phase(name);
    return phase == nullptr ? std::nullopt : phase->test;
  }

  void judge_test() {
    const std::string test = input_.test.filename().string();
    const auto proves_nothing = [&](string_view phase, string_view when) {
      if (test_of(phase) == 0)
        findings_.push_back(finding(
            "try-control", Severity::refusal, fmt::format("{} passes {}: it doesn't test the livepatch", test, when),
            "let it look for what the patch changes, and end with another status than 0 without it"));
    };
    proves_nothing("before", "before the livepatch is loaded");
    if (const auto status = test_of("after"); status && status != 0) {
      const TrialPhase* phase = record_.phase("after");
      const std::string what = phase->stopped
                                   ? fmt::format("doesn't end within {} s with the livepatch", *phase->stopped)
                                   : fmt::format("fails with the livepatch (status {})", *status);
      fail("try-test", fmt::format("{} {}{}", test, what, phase->output.empty() ? "" : ": " + phase->output.back()),
           phase->stopped ? "it has a fifth of --timeout" : "");
    }
    if (test_of("unloaded") == 0 && test_of("before") != 0)
      fail("try-test", fmt::format("{} still passes after the livepatch is unloaded", test),
           "what the livepatch leaves behind has to be put back in a post_unpatch callback");
    proves_nothing("control", "with a livepatch that redirects nothing");
  }

  const TrialInput& input_;
  const TrialRecord& record_;
  std::vector<Finding> findings_;
};

std::string first_value(const KlpElf& elf, string_view key) {
  const auto section = elf.find_section(".modinfo");
  if (!section) return {};
  const auto values = modinfo_values(elf.sections[*section].bytes, key);
  return values.empty() ? std::string() : std::string(values.front());
}

}  // namespace

int TryVerdict::status() const {
  if (findings.empty()) return exit_ok;
  return std::ranges::any_of(findings, [](const Finding& f) { return f.severity == Severity::error; })
             ? exit_unpatchable
             : exit_no_change;
}

bool is_complaint(string_view line) {
  return std::ranges::any_of(complaints, [&](string_view word) { return line.find(word) != string_view::npos; });
}

std::string strange_taint(uint64_t before, uint64_t after) {
  std::vector<std::string> letters;
  for (unsigned bit = 0; bit < 64; ++bit) {
    if (((after & ~before) >> bit & 1) == 0) continue;
    const char letter = bit < taint_letters.size() ? taint_letters[bit] : '?';
    if (livepatch_taints.find(letter) == string_view::npos)
      letters.push_back(letter == '?' ? fmt::format("bit {}", bit) : std::string(1, letter));
  }
  return joined(letters, ", ");
}

std::vector<PatchedName> expected_functions(const std::filesystem::path& module) {
  const KlpElf elf = KlpElf::read(module);
  const PatchTables tables = read_patch_tables(elf);
  if (first_value(elf, "livepatch").empty() || (tables.functions.empty() && tables.callbacks.empty()))
    throw Error(fmt::format("{} is no livepatch, or none whose functions can be read", module.string()));
  std::vector<PatchedName> names;
  // kernel: klp_init_object_loaded, a rank of 0 is shown as 1.
  for (const Replacement& f : replacements_of(elf, tables))
    names.push_back({f.object, f.name, std::max<uint64_t>(1, f.sympos)});
  std::sort(names.begin(), names.end());
  return names;
}

std::string release_of_module(const std::filesystem::path& module) {
  const std::string vermagic = first_value(KlpElf::read(module), "vermagic");
  std::string release = vermagic.substr(0, vermagic.find(' '));
  if (release.empty()) throw Error(fmt::format("{} doesn't say which kernel it is for", module.string()));
  return release;
}

TryVerdict judge_trial(const TrialInput& input, TrialRecord record, const std::vector<PatchedName>& expected) {
  TryVerdict verdict{.module = input.module.filename().string(), .release = input.kernel.release};
  verdict.findings = Judge(input, record).run(expected);
  verdict.record = std::move(record);
  return verdict;
}

std::string text_of(const TryVerdict& verdict) {
  std::string text;
  for (const std::string& note : verdict.record.notes) text += fmt::format("note: {}\n", note);
  for (const PatchedName& f : verdict.record.functions) text += fmt::format("  {}\n", name_of(f));
  double seconds = 0;
  for (const TrialPhase& phase : verdict.record.phases) seconds += phase.seconds;
  for (const Finding& f : verdict.findings) text += kpatch::text_of(f) + "\n";
  const bool untested = !verdict.record.phase("after");
  const char* word = verdict.good()
                         ? (untested ? "it loads, runs and unloads; no test was given" : "it does what its test asks")
                     : verdict.status() == exit_no_change ? "its test proves nothing"
                                                          : "it fails";
  return text + fmt::format("{} on {}: {} ({:.1f} s, {})", verdict.module, verdict.release, word, seconds,
                            verdict.record.accelerator);
}

nlohmann::json to_json(const TryVerdict& verdict) {
  nlohmann::json json = {{"module", verdict.module},
                         {"release", verdict.release},
                         {"good", verdict.good()},
                         {"status", verdict.status()},
                         {"accelerator", verdict.record.accelerator},
                         {"notes", verdict.record.notes},
                         {"phases", nlohmann::json::array()},
                         {"functions", nlohmann::json::array()},
                         {"findings", nlohmann::json::array()}};
  for (const TrialPhase& phase : verdict.record.phases) {
    nlohmann::json one = {{"name", phase.name}, {"seconds", phase.seconds}};
    if (phase.test) one["test"] = *phase.test;
    if (phase.taint) one["taint"] = *phase.taint;
    if (phase.stopped) one["stopped"] = *phase.stopped;
    if (!phase.broken.empty()) one["broken"] = phase.broken;
    if (!phase.output.empty()) one["output"] = phase.output;
    json["phases"].push_back(std::move(one));
  }
  for (const PatchedName& f : verdict.record.functions)
    json["functions"].push_back({{"object", f.object}, {"function", f.name}, {"sympos", f.sympos}});
  for (const Finding& f : verdict.findings) json["findings"].push_back(kpatch::to_json(f));
  return json;
}

}  // namespace kpatch
