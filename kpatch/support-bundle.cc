// A report that can be sent as it is
//
//     ==> /proc/version <==
//     Linux version 6.12.117+deb12-cloud-amd64 …
//     ==> /proc/cmdline <==
//     root=... ro panic=10 rd.luks.key=...
//
// It is one text, so that whoever sends it reads it first. What is in it is listed here, file by file: nothing of the
// environment, of processes or of other modules' parameters, and of the kernel's log only what concerns livepatches. A
// word of the command line may hold a password of a disk or a token of an installer under any name: so values are told of
// options that are known, not kept back of those that sound like secrets.
#include "kpatch/support-bundle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "kpatch/events.h"
#include "kpatch/health.h"
#include "kpatch/loaded.h"
#include "support/sha256.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

constexpr size_t longest = size_t{64} << 10;
constexpr const char* cut = "[cut here]\n";

std::string beginning(std::string text) {
  if (text.size() <= longest) return text;
  text.resize(longest);
  return text + "\n" + cut;
}

// Whole lines.
std::string end_of(const std::string& text) {
  if (text.size() <= longest) return text;
  const size_t line = text.find('\n', text.size() - longest);
  return cut + (line == std::string::npos ? std::string() : text.substr(line + 1));
}

std::string ended(std::string text) {
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  return text;
}

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code none;
  for (fs::directory_iterator it(folder, none), end; !none && it != end; it.increment(none))
    entries.push_back(it->path());
  std::ranges::sort(entries);
  return entries;
}

// "livepatch_fix/vmlinux/show,1/patched 1"; links out of the tree aren't followed.
enum class Show { contents, names };
void list_tree(const System& system, const std::string& folder, const std::string& name, Show show, std::string& text) {
  for (const fs::path& entry : sorted_entries(system.path(folder))) {
    const std::string below = folder + "/" + entry.filename().string();
    const std::string shown = name.empty() ? entry.filename().string() : name + "/" + entry.filename().string();
    std::error_code none;
    if (fs::is_symlink(entry, none)) continue;
    if (fs::is_directory(entry, none)) {
      text += shown + "/\n";
      list_tree(system, below, shown, show, text);
    } else {
      text += show == Show::names ? shown + "\n" : fmt::format("{} {}\n", shown, system.text(below));
    }
  }
}

std::string messages(const System& system, const std::vector<std::string>& modules) {
  std::string text;
  for (const std::string& message : KernelLog(system, KernelLog::From::start).messages()) {
    const auto has = [&](string_view word) { return message.find(word) != std::string::npos; };
    if (has("livepatch") || has("kpatch") || has("klp") || std::ranges::any_of(modules, has) ||
        tells_of_a_fault(message))
      text += message + "\n";
  }
  return text;
}

// Livepatches, and what is left of those that were replaced.
std::vector<std::string> livepatch_modules(const System& system) {
  std::vector<std::string> modules;
  for (const LoadedPatch& patch : loaded_patches(system)) modules.push_back(patch.name);
  for (const std::string& left : left_modules(system)) modules.push_back(left);
  return modules;
}

}  // namespace

std::string without_secrets(string_view command_line) {
  constexpr std::array<string_view, 22> told = {
      "kpatch.enable",      "panic",   "panic_on_taint", "panic_on_warn", "oops",         "mitigations",
      "lockdown",           "lsm",     "security",       "ima_policy",    "ima_appraise", "ftrace",
      "module.sig_enforce", "preempt", "maxcpus",        "nr_cpus",       "isolcpus",     "nohz_full",
      "rcu_nocbs",          "kasan",   "slub_debug",     "log_buf_len"};
  std::vector<std::string> words;
  bool quoted = false;  // kernel: next_arg() of lib/cmdline.c
  std::string word;
  const auto end_word = [&] {
    if (word.empty()) return;
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (equals == std::string::npos || std::ranges::find(told, name) != told.end())
      words.push_back(word);
    else
      words.push_back(name + "=...");
    word.clear();
  };
  for (const char c : command_line) {
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == ' ' || c == '\t' || c == '\n'))
      end_word();
    else
      word += c;
  }
  end_word();
  // Behind this word stands what is for init, in any form.
  const auto rest = std::ranges::find(words, "--");
  if (rest != words.end() && rest + 1 != words.end()) {
    words.erase(rest + 1, words.end());
    words.emplace_back("...");
  }
  return joined(words, " ");
}

std::vector<SupportPart> support_parts(const System& system) {
  std::vector<SupportPart> parts;
  const auto add = [&](const std::string& name, std::string text) {
    if (!text.empty()) parts.emplace_back(name, ended(std::move(text)));
  };
  const std::vector<std::string> modules = livepatch_modules(system);
  add("kpatch --version", "kpatch " KPATCH_VERSION);
  for (const char* file : {"/proc/version", "/etc/os-release", "/proc/sys/kernel/tainted", "/sys/kernel/oops_count",
                           "/sys/kernel/warn_count", "/sys/kernel/security/lockdown"})
    add(file, beginning(system.text(file)));
  add("/proc/cmdline", beginning(without_secrets(system.text("/proc/cmdline"))));
  std::string tree;
  list_tree(system, "/sys/kernel/livepatch", "", Show::contents, tree);
  add("/sys/kernel/livepatch", beginning(std::move(tree)));
  for (const std::string& module : modules) {
    const std::string folder = "/sys/module/" + module;
    for (const char* file : {"/taint", "/srcversion", "/refcnt", "/initstate", "/parameters/attempts"})
      add(folder + file, beginning(system.text(folder + file)));
    if (const std::string id = loaded_build_id(system, module); !id.empty()) {
      add(folder + "/notes/.note.gnu.build-id", hex_of(id));
    }
  }
  std::string installed;
  list_tree(system, "/var/lib/kpatch", "", Show::names, installed);
  add("/var/lib/kpatch", beginning(std::move(installed)));
  add(event_log, end_of(system.text(event_log)));
  add("messages of the kernel that concern livepatches", end_of(messages(system, modules)));
  return parts;
}

std::string support_text(const std::vector<SupportPart>& parts) {
  std::string text;
  for (const auto& [name, part] : parts) text += fmt::format("{}==> {} <==\n{}", text.empty() ? "" : "\n", name, part);
  return text;
}

}  // namespace kpatch
