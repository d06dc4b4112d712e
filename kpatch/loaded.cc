#include "kpatch/loaded.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <system_error>

#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

constexpr const char* livepatch = "/sys/kernel/livepatch";

std::vector<std::string> names_in(const System& system, const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(system.path(folder), error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  std::ranges::sort(names);
  return names;
}

bool is_number(string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_being_loaded(const System& system, const std::string& module) {
  return system.text("/sys/module/" + module + "/initstate") == "coming";
}

LoadedPatch read_patch(const System& system, const std::string& name) {
  const std::string folder = fmt::format("{}/{}", livepatch, name);
  LoadedPatch patch;
  patch.name = name;
  patch.enabled = system.text(folder + "/enabled") == "1";
  patch.transition = system.text(folder + "/transition") == "1";
  // The kernel begins the transition, and says a moment later that it leads there; the module is still being loaded.
  if (patch.transition && is_being_loaded(system, name)) patch.enabled = true;
  if (const std::string replace = system.text(folder + "/replace"); !replace.empty()) patch.replace = replace == "1";
  if (const std::string order = system.text(folder + "/stack_order"); is_number(order))
    patch.stack_order = std::atoi(order.c_str());
  for (const std::string& object : names_in(system, folder)) {
    std::error_code error;
    if (!fs::is_directory(system.path(folder + "/" + object), error)) continue;
    PatchedThing thing{object, {}, {}};
    for (const std::string& entry : names_in(system, folder + "/" + object)) {
      // FUNCTION,POSITION
      if (const size_t comma = entry.rfind(','); comma != std::string::npos)
        thing.functions.push_back(entry.substr(0, comma));
    }
    if (const std::string patched = system.text(folder + "/" + object + "/patched"); !patched.empty())
      thing.patched = patched == "1";
    patch.things.push_back(std::move(thing));
  }
  return patch;
}

// /proc/modules has the newest module first.
std::map<std::string, size_t> ages(const System& system) {
  std::map<std::string, size_t> ages;
  const std::string modules = system.text("/proc/modules");
  for (const string_view line : lines_of(modules)) ages.emplace(line.substr(0, line.find(' ')), ages.size());
  return ages;
}

// What the note holds, which is the only one of its file: three words (the sizes of name and contents, the type), both
// filled up to 4 bytes.
std::string note_of(const std::string& note) {
  uint32_t sizes[2];
  constexpr size_t header = 12;
  if (note.size() < header) return {};
  std::memcpy(sizes, note.data(), sizeof(sizes));
  const size_t begin = header + (size_t{sizes[0]} + 3) / 4 * 4;
  return begin < note.size() ? note.substr(begin, sizes[1]) : std::string();
}

}  // namespace

size_t LoadedPatch::functions() const {
  size_t count = 0;
  for (const PatchedThing& thing : things) count += thing.functions.size();
  return count;
}

std::vector<LoadedPatch> loaded_patches(const System& system) {
  std::vector<LoadedPatch> patches;
  for (const std::string& name : names_in(system, livepatch)) patches.push_back(read_patch(system, name));
  const std::map<std::string, size_t> age = ages(system);
  const auto age_of = [&](const LoadedPatch& patch) {
    const auto known = age.find(patch.name);
    return known == age.end() ? 0 : known->second;
  };
  std::ranges::stable_sort(patches, [&](const LoadedPatch& a, const LoadedPatch& b) {
    if (a.stack_order && b.stack_order) return *a.stack_order < *b.stack_order;
    return age_of(a) > age_of(b);
  });
  return patches;
}

std::optional<LoadedPatch> loaded_patch(const System& system, const std::string& name) {
  if (!fs::exists(system.path(fmt::format("{}/{}/enabled", livepatch, name)))) return std::nullopt;
  return read_patch(system, name);
}

std::vector<std::string> left_modules(const System& system) {
  std::vector<std::string> left;
  for (const std::string& module : names_in(system, "/sys/module")) {
    if (system.text("/sys/module/" + module + "/taint").find('K') == std::string::npos) continue;
    if (!loaded_patch(system, module) && !is_being_loaded(system, module)) left.push_back(module);
  }
  return left;
}

std::string loaded_build_id(const System& system, const std::string& module) {
  return note_of(read_file_if_any(system.path("/sys/module/" + module + "/notes/.note.gnu.build-id")));
}

std::vector<std::string> loaded_fixes(const System& system, const std::string& module) {
  const std::string text = note_of(read_file_if_any(system.path("/sys/module/" + module + "/notes/.note.kpatch")));
  std::vector<std::string> fixes;
  for (const string_view fix : fields_of(text, '\0'))
    if (!fix.empty()) fixes.emplace_back(fix);
  return fixes;
}

std::vector<Attempts> loaded_attempts(const System& system, const std::string& module) {
  std::vector<Attempts> attempts;
  const std::string text = system.text("/sys/module/" + module + "/parameters/attempts");
  for (const string_view line : lines_of(text)) {
    const std::vector<string_view> words = fields_of(line, ' ');
    if (words.size() != 2 || words[0].empty()) continue;
    Attempts one{std::string(words[0]), 0};
    const auto [end, error] = std::from_chars(words[1].data(), words[1].data() + words[1].size(), one.count);
    if (error != std::errc() || end != words[1].data() + words[1].size()) continue;
    if (std::ranges::find(attempts, one.name, &Attempts::name) == attempts.end()) attempts.push_back(std::move(one));
  }
  return attempts;
}

std::string function_of_frame(string_view frame) {
  const size_t begin = frame.find("] ");
  if (begin == string_view::npos) return {};
  const string_view rest = frame.substr(begin + 2);
  return std::string(rest.substr(0, rest.find('+')));
}

std::vector<std::string> process_folders(const System& system) {
  std::vector<std::string> folders;
  for (const std::string& name : names_in(system, "/proc"))
    if (is_number(name)) folders.push_back("/proc/" + name);
  return folders;
}

std::vector<StalledTask> tasks_of(const System& system, const std::function<bool(const std::string& folder)>& wanted) {
  std::vector<StalledTask> tasks;
  for (const std::string& process : process_folders(system)) {
    for (const std::string& thread : names_in(system, process + "/task")) {
      const std::string folder = fmt::format("{}/task/{}", process, thread);
      if (wanted && !wanted(folder)) continue;
      StalledTask task{std::atoi(fs::path(process).filename().c_str()),
                       std::atoi(thread.c_str()),
                       system.text(folder + "/comm"),
                       {},
                       {},
                       {}};
      const std::string stack = system.text(folder + "/stack");
      for (const string_view frame : lines_of(stack)) task.stack.emplace_back(frame);
      tasks.push_back(std::move(task));
    }
  }
  return tasks;
}

std::vector<StalledTask> stalled_tasks(const System& system, const LoadedPatch& patch) {
  // The old function may be that of a patch which is being replaced.
  std::set<std::string> functions;
  for (const LoadedPatch& any : loaded_patches(system))
    for (const PatchedThing& thing : any.things) functions.insert(thing.functions.begin(), thing.functions.end());
  const std::string target = patch.enabled ? "1" : "0";
  std::vector<StalledTask> stalled = tasks_of(system, [&](const std::string& folder) {
    const std::string state = system.text(folder + "/patch_state");
    return !state.empty() && state != "-1" && state != target;
  });
  for (StalledTask& task : stalled) {
    for (const std::string& frame : task.stack) {
      const std::string function = function_of_frame(frame);
      if (task.function.empty() && functions.contains(function)) task.function = function;
    }
    // "123 (comm) S …": comm may hold anything.
    const std::string stat = system.text(fmt::format("/proc/{}/task/{}/stat", task.pid, task.tid));
    const size_t end = stat.rfind(") ");
    const bool running = end != std::string::npos && stat[end + 2] == 'R';
    task.why = !task.function.empty() ? fmt::format("is in {}", task.function)
               : running              ? "is running"
               : task.stack.empty()   ? "its stack can't be read"
                                      : "sleeps, and its stack shows no patched function";
  }
  return stalled;
}

}  // namespace kpatch
