// What is read (Documentation/trace/ftrace.rst, Documentation/trace/kprobes.rst, kernel/trace/ftrace.c):
//
//     tracing/enabled_functions   meminfo_proc_show (2) R I     \ttramp: 0x… (klp_ftrace_handler+0x0/0x1d0) ->…
//                                 \tdirect-->bpf_trampoline_4294968137+0x0/0x65
//     kprobes/list                ffffffff81406ea0  k  meminfo_proc_show+0x12    [OPTIMIZED]
//     error_injection/list        should_failslab\tERRNO
//     fail_function/inject        should_failslab
//     fdinfo of a BPF link        attach_type:\t26 … target_btf_id:\t841
//
// The letters: R registers are saved, I the instruction pointer may be changed, D a trampoline is called directly; others, such
// as M of what once had an I or D, say nothing of now. ftrace
// takes one I on a function, and D beside it since 6.0. A livepatch's own is an I.
#include "kpatch/hooks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

constexpr string_view bpf_trampoline = "bpf_trampoline_";

// A line of enabled_functions, with those that belong to it.
struct Site {
  unsigned users = 0;
  std::set<char> flags;
  std::string callback;  // of the one user
  std::string direct;    // what is called directly
  bool has(char flag) const { return flags.contains(flag); }
};

struct Probe {
  bool on_return = false, at_site = false;
  uint64_t offset = 0;
};

unsigned leading_number(string_view text) {
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

string_view up_to(string_view text, string_view ends) { return text.substr(0, text.find_first_of(ends)); }

// What lies behind the word, up to one of the ends; empty where the word isn't there.
string_view behind(string_view text, string_view word, string_view ends) {
  const size_t at = text.find(word);
  return at == string_view::npos ? string_view() : up_to(text.substr(at + word.size()), ends);
}

// "xt_comment" of "comment_mt [xt_comment]"; vmlinux without brackets.
std::string object_of(string_view text) {
  const string_view module = behind(text, "[", "]");
  return module.empty() ? "vmlinux" : std::string(module);
}

class Hooks {
 public:
  explicit Hooks(const System& system) : system_(system) {
    for (const char* folder : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"})
      if (!readable_) read_sites(fmt::format("{}/enabled_functions", folder));
    read_probes();
    read_names("/sys/kernel/debug/error_injection/list", injectable_);
    read_names("/sys/kernel/debug/fail_function/inject", failing_);
    for (const LoadedPatch& patch : loaded_patches(system))
      for (const HookedFunction& function : functions_of(patch)) patched_.insert(function);
    const std::string release = system.release();
    major_ = leading_number(release);
  }

  bool readable() const { return readable_; }
  const Site* site(const HookedFunction& function) const {
    const auto found = sites_.find(function);
    return found == sites_.end() ? nullptr : &found->second;
  }

  void judge(const HookedFunction& function, std::vector<Hook>& hooks) {
    const auto add = [&](Bearing bearing, std::string what, std::string advice = {}) {
      hooks.push_back({bearing, function.name, std::move(what), std::move(advice)});
    };
    const Site* here = site(function);
    if (here != nullptr) {
      if (here->has('I') && !patched_.contains(function))
        add(Bearing::excludes, "is held by something that may change where it goes, and the kernel allows one of these",
            failing_.contains(function.name)
                ? fmt::format("echo '!{}' >/sys/kernel/debug/fail_function/inject", function.name)
                : "unregister the kprobe with a post handler, or unload the other patcher");
      if (here->has('D')) judge_direct(function, *here, add);
      // A BPF trampoline's own user saves registers as well.
      if (here->has('R') && !here->has('I') && here->users > (here->has('D') ? 1 : 0)) judge_probe(function, add);
      if (here->flags.empty() || (patched_.contains(function) && here->users > 1 && !here->has('D') && !here->has('R')))
        add(Bearing::note, "is traced, and goes on to be so under its old name");
    }
    judge_kprobes(function, here, add);
  }

  // Those that aren't of one function.
  void judge_machine(std::vector<Hook>& hooks) const {
    if (system_.text("/proc/sys/kernel/ftrace_enabled") == "0")
      hooks.push_back(
          {Bearing::excludes, "", "ftrace is off, and livepatches need it", "sysctl kernel.ftrace_enabled=1"});
    if (system_.text("/sys/kernel/security/lockdown").find("[confidentiality]") != std::string::npos)
      hooks.push_back({Bearing::unknown, "", "lockdown hides who hooks a function"});
    else if (!readable_)
      hooks.push_back({Bearing::unknown, "", "tracefs can't be read, so that nobody knows who hooks a function",
                       "as root: mount -t tracefs tracefs /sys/kernel/tracing"});
  }

 private:
  void read_sites(const std::string& file) {
    // Read as a whole: procfs files tell no size.
    const fs::path path = system_.path(file);
    if (!fs::exists(path)) return;
    std::string text;
    try {
      text = read_file(path);
    } catch (const std::exception&) {
      return;
    }
    readable_ = true;
    Site* last = nullptr;
    for (const string_view line : lines_of(text)) {
      if (line.starts_with('\t')) {
        if (last != nullptr && line.find("direct") != string_view::npos)
          last->direct = up_to(behind(line, "-->", "\n"), "+");
        continue;
      }
      const size_t count = line.find(" (");
      if (count == string_view::npos) continue;
      const string_view name = line.substr(0, count);
      last = &sites_[{object_of(name), std::string(up_to(name, " "))}];
      last->users = leading_number(line.substr(count + 2));
      const size_t end = line.find(')', count);
      if (end == string_view::npos) continue;
      const string_view rest = line.substr(end + 1);
      for (const char c : up_to(rest, "\t"))
        if (string_view("RID").find(c) != string_view::npos) last->flags.insert(c);
      for (const string_view word : {string_view("tramp:"), string_view("ops:")})
        if (const size_t at = rest.find(word); at != string_view::npos)
          last->callback = behind(rest.substr(at), "(", "+)");
    }
  }

  void read_probes() {
    const std::string text = read_file_if_any(system_.path("/sys/kernel/debug/kprobes/list"));
    for (const string_view line : lines_of(text)) {
      std::vector<string_view> words;
      for (const string_view word : fields_of(line, ' '))
        if (!word.empty()) words.push_back(word);
      if (words.size() < 3 || line.find("[DISABLED]") != string_view::npos || line.find("[GONE]") != string_view::npos)
        continue;
      const string_view symbol = words[2];
      const size_t plus = symbol.find("+0x");
      Probe probe{words[1] == "r", line.find("[FTRACE]") != string_view::npos, 0};
      if (plus != string_view::npos)
        std::from_chars(symbol.data() + plus + 3, symbol.data() + symbol.size(), probe.offset, 16);
      std::string object = "vmlinux";
      if (words.size() > 3 && !words[3].starts_with('[')) object = words[3];
      probes_[{object, std::string(symbol.substr(0, plus))}].push_back(probe);
    }
  }

  void read_names(const char* file, std::set<std::string>& names) const {
    const std::string text = read_file_if_any(system_.path(file));
    for (const string_view line : lines_of(text)) names.emplace(up_to(line, "\t "));
  }

  // Which kinds of programs hang on trampolines, by their target's number in BTF; 0: of what isn't told.
  const std::set<std::pair<unsigned, unsigned>>& tracing_links() {
    if (links_) return *links_;
    links_.emplace();
    for (const std::string& process : process_folders(system_))
      for (const fs::directory_entry& file : files_in(process + "/fdinfo")) {
        const std::string text = read_file_if_any(file.path());
        if (text.find("link_type:") == std::string::npos) continue;
        const unsigned kind = leading_number(behind(text, "attach_type:\t", "\n"));
        if (kind == modify_return) links_->emplace(kind, leading_number(behind(text, "target_btf_id:\t", "\n")));
      }
    return *links_;
  }

  std::vector<fs::directory_entry> files_in(const std::string& name) const {
    std::vector<fs::directory_entry> entries;
    std::error_code error;
    for (fs::directory_iterator it(system_.path(name), error), end; !error && it != end; it.increment(error))
      entries.push_back(*it);
    return entries;
  }

  // Only what may be made to fail lets a program decide that the function doesn't run.
  bool may_be_made_to_fail(const HookedFunction& function) const {
    return injectable_.contains(function.name) || function.name.starts_with("security_");
  }

  template <typename Add>
  void judge_direct(const HookedFunction& function, const Site& here, const Add& add) {
    if (!here.direct.starts_with(bpf_trampoline)) {
      add(Bearing::excludes, fmt::format("has a direct call of {}", here.direct.empty() ? "a module" : here.direct),
          "unload the module whose code that is");
      return;
    }
    // A trampoline's name ends in the number of its BTF object and of the function in it: 32 bits each.
    const uint64_t key = std::strtoull(here.direct.c_str() + bpf_trampoline.size(), nullptr, 10);
    const auto target = static_cast<unsigned>(key & 0x7fffffffU);
    if (major_ < 6 && !patched_.contains(function))
      add(Bearing::excludes, "has a BPF program, which kernels before 6.0 allow no livepatch beside", "detach it");
    if (judge_programs(static_cast<unsigned>(key >> 32U), target, add)) return;
    for (const auto& [kind, of] : tracing_links()) {
      if (of != target && (of != 0 || !may_be_made_to_fail(function))) continue;
      add(Bearing::suppresses, "may have a BPF program (fmod_ret) that decides that it doesn't run",
          "detach it; bpftool link shows it");
      return;
    }
    if (may_be_made_to_fail(function))
      add(Bearing::suppresses,
          "has a BPF program whose kind isn't known here, and may be one that keeps it from running",
          "bpftool link shows it; --force if it only looks on");
    else
      add(Bearing::note, "has a BPF program that looks on, and goes on to be called");
  }

  // By the kernel's own list. False where that doesn't know a program of the function.
  template <typename Add>
  bool judge_programs(unsigned object, unsigned type, const Add& add) {
    if (!programs_) programs_ = system_.bpf_links().value_or(std::vector<BpfLink>());
    bool found = false;
    for (const BpfLink& link : *programs_) {
      if (link.target_type != type || (link.target_object != object && link.target_object != 0)) continue;
      found = true;
      const std::string who = fmt::format("{}, program {}, link {}", link.name.empty() ? "it has no name" : link.name,
                                          link.program, link.id);
      if (link.kind == modify_return)
        add(Bearing::suppresses, fmt::format("has a BPF program (fmod_ret) that decides that it doesn't run: {}", who),
            "end who holds it, or remove the file in bpffs that pins it");
      else
        add(Bearing::note,
            fmt::format("has a BPF program that goes on to be called ({}): {}", kind_of(link.kind), who));
    }
    return found;
  }

  // include/uapi/linux/bpf.h, enum bpf_attach_type
  static constexpr unsigned modify_return = 26;
  static string_view kind_of(unsigned kind) {
    constexpr unsigned at_entry = 24, at_exit = 25, of_lsm = 27;
    return kind == at_entry  ? "when it begins"
           : kind == at_exit ? "when it ends"
           : kind == of_lsm  ? "as a security module"
                             : "of a kind that isn't known";
  }

  template <typename Add>
  void judge_probe(const HookedFunction& function, const Add& add) const {
    if (injectable_.contains(function.name))
      add(Bearing::suppresses, "has a probe at its entry, and is one of those that a probe may keep from running",
          "remove the probe, or --force if it only looks on");
    else
      add(Bearing::note, "has a probe at its entry or return, which goes on to see it under its old name");
  }

  template <typename Add>
  void judge_kprobes(const HookedFunction& function, const Site* here, const Add& add) const {
    const auto found = probes_.find(function);
    if (found == probes_.end()) return;
    for (const Probe& probe : found->second) {
      const bool entry = probe.on_return || probe.at_site || probe.offset == 0;
      if (!entry)
        add(Bearing::blind,
            fmt::format("has a probe at +{:#x}, which sees nothing once the function is replaced", probe.offset),
            "probe the new function, which lies in the livepatch's module");
      else if (here == nullptr || !here->has('R'))
        judge_probe(function, add);
    }
  }

  const System& system_;
  bool readable_ = false;
  unsigned major_ = 0;
  std::map<HookedFunction, Site> sites_;
  std::map<HookedFunction, std::vector<Probe>> probes_;
  std::set<std::string> injectable_, failing_;
  std::set<HookedFunction> patched_;  // by a livepatch that is loaded
  std::optional<std::set<std::pair<unsigned, unsigned>>> links_;
  std::optional<std::vector<BpfLink>> programs_;
};

}  // namespace

string_view word_for(Bearing bearing) {
  switch (bearing) {
    case Bearing::note:
      return "note";
    case Bearing::blind:
      return "goes blind";
    case Bearing::unknown:
      return "not known";
    case Bearing::foreign:
      return "other code";
    case Bearing::suppresses:
      return "may suppress";
    case Bearing::excludes:
      break;
  }
  return "excludes";
}

std::string sentence_of(const Hook& hook) {
  return hook.function.empty() ? hook.what : fmt::format("{} {}", hook.function, hook.what);
}

std::vector<Hook> hooks_on(const System& system, std::span<const HookedFunction> functions) {
  Hooks known(system);
  std::vector<Hook> hooks;
  known.judge_machine(hooks);
  for (const HookedFunction& function : functions) known.judge(function, hooks);
  std::ranges::stable_sort(hooks, [](const Hook& a, const Hook& b) { return a.bearing > b.bearing; });
  const auto same = [](const Hook& a, const Hook& b) {
    return std::tie(a.function, a.what) == std::tie(b.function, b.what);
  };
  hooks.erase(std::unique(hooks.begin(), hooks.end(), same), hooks.end());
  return hooks;
}

std::vector<HookedFunction> functions_of(const LoadedPatch& patch) {
  std::vector<HookedFunction> functions;
  for (const PatchedThing& thing : patch.things)
    if (thing.patched.value_or(true))
      for (const std::string& function : thing.functions) functions.push_back({thing.object, function});
  return functions;
}

std::vector<HookedFunction> not_redirected(const System& system, const LoadedPatch& patch) {
  const Hooks known(system);
  std::vector<HookedFunction> lost;
  if (!known.readable()) return lost;
  for (const HookedFunction& function : functions_of(patch)) {
    // Whether its module is there isn't told by kernels before 6.1.
    if (function.object != "vmlinux" && !fs::exists(system.path("/sys/module/" + function.object))) continue;
    const Site* site = known.site(function);
    if (site == nullptr || !site->has('I')) lost.push_back(function);
  }
  return lost;
}

std::vector<StalledTask> sleepers_in(const System& system, std::span<const HookedFunction> functions) {
  std::set<std::string> names;
  for (const HookedFunction& function : functions) names.insert(function.name);
  std::vector<StalledTask> sleepers;
  for (StalledTask& task : tasks_of(system)) {
    for (const std::string& frame : task.stack) {
      const std::string name = function_of_frame(frame);
      if (names.contains(name)) task.function = name;
      if (name.starts_with(bpf_trampoline) && task.why.empty())
        task.why = "sleeps below a BPF trampoline, which most kernels can't look through";
    }
    if (!task.function.empty()) task.why = fmt::format("sleeps in {}", task.function);
    if (!task.why.empty()) sleepers.push_back(std::move(task));
  }
  return sleepers;
}

}  // namespace kpatch
