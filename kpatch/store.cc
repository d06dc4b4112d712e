#include "kpatch/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>

#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr const char* place = "/var/lib/kpatch";

// Names in a folder are the folder's contents: a rename or removal is on the disk when the folder is. Without it a power cut
// soon after brings back the trial of a livepatch that was accepted, and it isn't loaded at the next start. Nothing is
// lost where a file system can't do it: what it has is as safe as it makes things.
void flush_folder(const fs::path& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

// livepatch-fix.ko and livepatch_fix.ko are livepatch_fix; other.ko isn't.
bool spells(const fs::path& file, const std::string& name) {
  return file.extension() == ".ko" && module_name(file.stem().string()) == name;
}

std::string name_in(const fs::path& file) {
  try {
    return read_module(file).name;
  } catch (const Error&) {
    return module_name(file.stem().string());  // so that it can be seen, and uninstalled
  }
}

}  // namespace

std::string installed_file_name(const ModuleFile& module) {
  return spells(module.path, module.name) ? module.path.filename().string() : module.name + ".ko";
}

fs::path Store::folder(const std::string& release) const {
  // It becomes a part of a path.
  if (release.empty() || release.front() == '.' || release.find('/') != std::string::npos)
    throw Error(fmt::format("\"{}\" is no kernel release", release));
  return system_.path(place) / release;
}

fs::path Store::trial_file(const std::string& name, const std::string& release) const {
  if (name.find('/') != std::string::npos) throw Error(fmt::format("\"{}\" is no module's name", name));
  return folder(release) / (module_name(name) + ".trial");
}

// All there are, the oldest first.
std::vector<Installed> Store::files(const std::string& release) const {
  std::vector<Installed> found;
  for (const fs::directory_entry& entry : entries_if_any(system_.path(place))) {
    const std::string of = entry.path().filename().string();
    if (!entry.is_directory() || (!release.empty() && of != release)) continue;
    std::vector<std::pair<fs::file_time_type, Installed>> modules;
    for (const fs::directory_entry& file : entries_if_any(entry.path())) {
      std::error_code gone;
      if (file.path().extension() != ".ko") continue;
      const fs::file_time_type time = fs::last_write_time(file.path(), gone);
      if (!gone) modules.push_back({time, {name_in(file.path()), of, file.path()}});
    }
    std::ranges::stable_sort(modules, {}, [](const auto& module) { return module.first; });
    for (auto& [time, module] : modules) found.push_back(std::move(module));
  }
  return found;
}

std::vector<Installed> Store::installed(const std::string& release) const {
  std::vector<Installed> found, all = files(release);
  std::ranges::reverse(all);
  for (Installed& file : all)
    if (std::ranges::none_of(
            found, [&](const Installed& newer) { return newer.name == file.name && newer.release == file.release; }))
      found.push_back(std::move(file));
  std::ranges::reverse(found);
  return found;
}

bool looks_like_file(const std::string& name) { return name.find('/') != std::string::npos || name.ends_with(".ko"); }

ModuleFile Store::module_of(const std::string& name, const std::string& release) const {
  if (looks_like_file(name)) return read_module(name);
  const auto installed = find(name, release);
  if (!installed)
    throw Error(fmt::format("{} isn't installed for {}; a file is given as ./{}.ko", name, release, name));
  return read_module(installed->file);
}

fs::path Store::file_of_loaded(const std::string& name, const std::string& release, const std::string& build_id) const {
  const auto installed = find(name, release);
  if (!installed || build_id.empty()) return {};
  try {
    return read_module(installed->file).build_id == build_id ? installed->file : fs::path();
  } catch (const Error&) {
    return {};
  }
}

std::optional<Installed> Store::find(const std::string& name, const std::string& release) const {
  for (Installed& module : installed(release))
    if (module.name == module_name(name)) return std::move(module);
  return std::nullopt;
}

Installed Store::install(const ModuleFile& module) const {
  const fs::path to = folder(module.release);
  std::error_code error;
  fs::create_directories(to, error);
  if (error) throw Error(fmt::format("can't make {}: {}", to.string(), error.message()));
  const std::optional<Installed> before = find(module.name, module.release);
  fs::path file = before ? before->file : to / installed_file_name(module);
  write_file(file, read_file(module.path));
  // First the contents, then the name: at no moment are there two of one module.
  if (!spells(file, module.name)) {
    fs::rename(file, to / installed_file_name(module), error);
    if (error) throw Error(fmt::format("can't rename {}: {}", file.string(), error.message()));
    file = to / installed_file_name(module);
  }
  for (const Installed& other : files(module.release))
    if (other.name == module.name && other.file != file) fs::remove(other.file, error);
  flush_folder(to);
  flush_folder(to.parent_path());          // it may be new
  end_trial(module.name, module.release);  // what was tried is gone
  return {module.name, module.release, file};
}

void Store::uninstall(const std::string& name, const std::string& release) const {
  const std::optional<Installed> module = find(name, release);
  if (!module) throw Error(fmt::format("{} isn't installed for {}", name, release));
  std::error_code error;
  for (const Installed& one : files(release)) {
    if (one.name != module->name) continue;
    fs::remove(one.file, error);
    if (error) throw Error(fmt::format("can't remove {}: {}", one.file.string(), error.message()));
  }
  end_trial(module->name, release);
  flush_folder(folder(release));
  fs::remove(folder(release), error);  // the last one
  flush_folder(folder(release).parent_path());
}

std::optional<Trial> Store::trial(const std::string& name, const std::string& release) const {
  const std::string text = read_file_if_any(trial_file(name, release));
  if (text.empty()) return std::nullopt;
  const std::vector<std::string_view> words = words_of(text);
  Trial trial;
  const auto number = [&](size_t i) {
    return i < words.size() ? std::strtol(std::string(words[i]).c_str(), nullptr, 10) : 0;
  };
  if (!words.empty()) trial.boot_id = std::string(words[0]);
  trial.oopses = number(1);
  trial.warnings = number(2);
  return trial;
}

void Store::begin_trial(const std::string& name, const std::string& release) const {
  std::error_code error;
  fs::create_directories(folder(release), error);
  if (error) throw Error(fmt::format("can't make {}: {}", folder(release).string(), error.message()));
  write_file(
      folder(release) / (module_name(name) + ".trial"),
      fmt::format("{} {} {}\n", system_.boot_id(), system_.counter("oops_count"), system_.counter("warn_count")));
  flush_folder(folder(release));
  flush_folder(folder(release).parent_path());
}

void Store::end_trial(const std::string& name, const std::string& release) const {
  std::error_code ignored;
  if (fs::remove(trial_file(name, release), ignored)) flush_folder(folder(release));
}

std::vector<std::string> Store::trials(const std::string& release) const {
  std::vector<std::string> names;
  for (const fs::directory_entry& file : entries_if_any(folder(release)))
    if (file.path().extension() == ".trial") names.push_back(file.path().stem().string());
  return names;
}

}  // namespace kpatch
