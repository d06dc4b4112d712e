// A make that finds out what to do takes three times as long as doing it. What it does for a livepatch is always the
// same: it compiles the template, links it with the diff objects, runs objtool over that, lets modpost write NAME.mod.c,
// compiles it, and links again. kbuild records each command in full, so the first module of a base is made by make, and
// the others by those commands, in which five things are filled in:
//
//     @{folder}   where the module is made
//     @{base}     the view of the base
//     @{name}     the module's name, @{modname} the same with '_' for '-' (KBUILD_MODNAME)
//     @{parts}    the objects that are linked; @{paths} with their folder
//
// Where anything isn't as expected nothing is learned. Where a command fails, make has the last word (build-module.cc).
//
// The template's objects are the same for each module: they are kept, unless the module's name or folder is in them.
#include "kbuild/module-recipe.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

constexpr string_view opening = "@{";
constexpr string_view info_source = "livepatch-info", info_header = "kpatch-info.h";

std::string modname_of(std::string name) {
  std::ranges::replace(name, '-', '_');
  return name;
}

void replace_all(std::string& text, string_view what, string_view by) {
  if (what.empty()) return;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
}

bool of_name(char c) { return isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-'; }

// Where kbuild writes a module's name in its commands: behind its folder, in quotes, behind kmod_, or, in the module's
// folder, as a file's. False when it stands anywhere else as well.
bool replace_name(std::string& text, const std::string& name, string_view by) {
  constexpr std::array<string_view, 4> before_name = {"@{folder}/", "@{folder}/.", "\"", "=kmod_"};
  constexpr std::array<string_view, 4> before_file = {" ", " .", " @", ",."};
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at)) {
    const size_t end = at + name.size();
    const bool file = end < text.size() && text[end] == '.';
    const auto stands_there = [&](string_view what) { return string_view(text).substr(0, at).ends_with(what); };
    if (!std::ranges::any_of(before_name, stands_there) && !(file && std::ranges::any_of(before_file, stands_there)))
      return false;
    if (end < text.size() && of_name(text[end])) return false;
    text.replace(at, name.size(), by);
    at += by.size();
  }
  return true;
}

std::string joined_paths(const ModuleBuild& build) {
  std::vector<std::string> paths;
  for (const std::string& part : build.parts) paths.push_back((build.folder / part).string());
  return joined(paths, " ");
}

bool is_below(const fs::path& file, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), file.begin(), file.end()).first == folder.end();
}

bool is_compiled(const ModuleBuild& build, const std::string& part) {
  return fs::exists((build.folder / part).replace_extension(".c"));
}

// The other way round than ModuleRecipe::filled().
std::optional<std::string> generalised(std::string text, const ModuleBuild& build) {
  if (text.find(opening) != std::string::npos) return std::nullopt;
  replace_all(text, joined_paths(build), "@{paths}");
  replace_all(text, joined(build.parts, " "), "@{parts}");
  replace_all(text, build.folder.string(), "@{folder}");
  replace_all(text, build.base.string(), "@{base}");
  const std::string modname = modname_of(build.name);
  if (!replace_name(text, build.name, "@{name}")) return std::nullopt;
  if (modname != build.name && !replace_name(text, modname, "@{modname}")) return std::nullopt;
  // Without a '-' both are the same word, and it stands as KBUILD_MODNAME where the other would be wrong.
  if (modname == build.name) {
    replace_all(text, "KBUILD_MODNAME='\"@{name}\"'", "KBUILD_MODNAME='\"@{modname}\"'");
    replace_all(text, "=kmod_@{name}", "=kmod_@{modname}");
    replace_all(text, "KBUILD_BASENAME='\"@{name}", "KBUILD_BASENAME='\"@{modname}");
  }
  // Another module has more diff objects, or fewer.
  for (const std::string& part : build.parts)
    if (!is_compiled(build, part) && text.find(part) != std::string::npos) return std::nullopt;
  return text;
}

// What make records for a module, in the order in which it is made. "%" stands for the module's name.
constexpr std::array<std::array<string_view, 2>, 5> stages_after_parts{
    {{"%.mod", "modules.order"}, {"%.o", ""}, {"Module.symvers", ""}, {"%.mod.o", ".module-common.o"}, {"%.ko", ""}}};
constexpr string_view optional_file = ".module-common.o";  // scripts/module-common.c, since 6.13

std::string file_of(string_view pattern, const std::string& name) {
  std::string file(pattern);
  replace_all(file, "%", name);
  return file;
}

bool is_kept(const std::string& file) {
  return file == optional_file || (file.starts_with("parts/") && file.find(info_source) == std::string::npos);
}

// An object in which the module's name or folder stands belongs to it alone.
bool depends_on_module(const fs::path& object, const ModuleBuild& build) {
  const std::string bytes = read_file(object);
  return bytes.find(build.name) != std::string::npos || bytes.find(modname_of(build.name)) != std::string::npos ||
         bytes.find(build.folder.string()) != std::string::npos;
}

}  // namespace

std::string ModuleRecipe::filled(std::string text, const ModuleBuild& build) {
  replace_all(text, "@{paths}", joined_paths(build));
  replace_all(text, "@{parts}", joined(build.parts, " "));
  replace_all(text, "@{folder}", build.folder.string());
  replace_all(text, "@{base}", build.base.string());
  replace_all(text, "@{name}", build.name);
  replace_all(text, "@{modname}", modname_of(build.name));
  return text;
}

BuildRecord ModuleRecipe::filled(BuildRecord record, const ModuleBuild& build) {
  record.command = filled(std::move(record.command), build);
  record.source = filled(std::move(record.source), build);
  for (std::string& dependency : record.dependencies) dependency = filled(std::move(dependency), build);
  return record;
}

std::optional<ModuleRecipe> ModuleRecipe::learn(const ModuleBuild& build) {
  ModuleRecipe recipe;
  std::set<fs::path> known;
  const auto step = [&](string_view pattern) -> std::optional<Step> {
    const std::string file = file_of(pattern, build.name);
    const auto record = read_record(build.folder / file);
    if (!record) return std::nullopt;
    known.insert(build.folder / file);
    Step made{std::string(pattern), {}};
    const auto take = [&](const std::string& text, std::string& into) {
      const auto general = generalised(text, build);
      if (general) into = *general;
      return general && filled(*general, build) == text;
    };
    if (!take(record->command, made.record.command) || !take(record->source, made.record.source)) return std::nullopt;
    for (const std::string& dependency : record->dependencies) {
      if (!is_below(build.folder / dependency, build.folder) || !fs::exists(build.folder / dependency)) continue;
      if (!take(dependency, made.record.dependencies.emplace_back())) return std::nullopt;
    }
    return made;
  };
  std::vector<Step> compiled;
  for (const std::string& part : build.parts) {
    if (!is_compiled(build, part)) continue;
    auto of_part = step(part);
    if (!of_part) return std::nullopt;
    compiled.push_back(std::move(*of_part));
  }
  recipe.stages_.push_back(std::move(compiled));
  for (const auto& stage : stages_after_parts) {
    recipe.stages_.emplace_back();
    for (const string_view pattern : stage) {
      if (pattern.empty()) continue;
      const std::string file = file_of(pattern, build.name);
      if (pattern == optional_file && !fs::exists(build.folder / file)) continue;
      auto made = step(pattern);
      if (!made) return std::nullopt;
      recipe.stages_.back().push_back(std::move(*made));
    }
  }
  // A file that make made and nobody here knows of might be needed.
  for (const fs::path& folder : {build.folder, build.folder / "parts"}) {
    for (const fs::directory_entry& entry : entries_of(folder)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with('.') || !name.ends_with(".cmd") || entry.file_size() == 0) continue;
      if (!known.contains(folder / name.substr(1, name.size() - 5))) return std::nullopt;
    }
  }
  recipe.in_folder_ = recipe.stages_.front().empty() ||
                      recipe.stages_.front().front().record.command.find("@{folder}/parts/") == std::string::npos;
  return recipe;
}

std::optional<ModuleRecipe> ModuleRecipe::read(const fs::path& file, string_view key) {
  const std::string text = read_file_if_any(file);
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("key", "") != key) return std::nullopt;
  ModuleRecipe recipe;
  recipe.in_folder_ = json.value("in_folder", false);
  for (const auto& stage : json.value("stages", nlohmann::json::array())) {
    recipe.stages_.emplace_back();
    for (const auto& step : stage)
      recipe.stages_.back().push_back({step.value("file", ""),
                                       {step.value("command", ""), step.value("source", ""),
                                        step.value("dependencies", std::vector<std::string>())}});
  }
  return recipe;
}

void ModuleRecipe::write(const fs::path& file, string_view key) const {
  nlohmann::json stages = nlohmann::json::array();
  for (const std::vector<Step>& stage : stages_) {
    nlohmann::json steps = nlohmann::json::array();
    for (const Step& step : stage)
      steps.push_back({{"file", step.file},
                       {"command", step.record.command},
                       {"source", step.record.source},
                       {"dependencies", step.record.dependencies}});
    stages.push_back(std::move(steps));
  }
  try {
    fs::create_directories(file.parent_path());
    write_file(file, nlohmann::json{{"key", key}, {"in_folder", in_folder_}, {"stages", stages}}.dump(1) + "\n");
  } catch (const Error&) {
  } catch (const fs::filesystem_error&) {
  }
}

// A part is made from its own source and the template's headers, but for that of livepatch-info.c.
std::string ModuleRecipe::kept_key(const Step& step, const ModuleBuild& build) const {
  std::string all = build.makers + '\0' + step.record.command + '\0';
  if (step.file.starts_with("parts/")) {
    all += read_file((build.folder / step.file).replace_extension(".c")) + '\0';
    for (const fs::directory_entry& entry : entries_of(build.folder / "parts"))
      if (entry.path().extension() == ".h" && entry.path().filename() != info_header)
        all += entry.path().filename().string() + '\0' + read_file(entry.path()) + '\0';
  }
  return digest_of(all);
}

CommandResult ModuleRecipe::run(const ModuleBuild& build, const KeptFiles& kept, unsigned jobs,
                                Executor& executor) const {
  CommandResult whole;
  for (const std::vector<Step>& stage : stages_) {
    std::vector<Command> commands;
    std::vector<const Step*> made;
    for (const Step& step : stage) {
      const fs::path file = build.folder / file_of(step.file, build.name);
      const BuildRecord record = filled(step.record, build);
      write_record(file, record);
      if (is_kept(step.file) && kept.fetch(kept_key(step, build), file)) continue;
      commands.push_back({{"/bin/sh", "-ec", record.command}, in_folder_ ? build.folder : build.base, {}});
      made.push_back(&step);
    }
    const std::vector<CommandResult> results = executor.run_all(commands, jobs);
    for (size_t i = 0; i < results.size(); ++i) {
      whole.output += results[i].output;
      if (!results[i].ok()) {
        whole.status = results[i].status;
        return whole;
      }
      const fs::path object = build.folder / made[i]->file;
      if (is_kept(made[i]->file) && !depends_on_module(object, build)) kept.keep(kept_key(*made[i], build), object);
    }
  }
  return whole;
}

void ModuleRecipe::keep(const ModuleBuild& build, const KeptFiles& kept) const {
  for (const std::vector<Step>& stage : stages_) {
    for (const Step& step : stage) {
      const fs::path object = build.folder / step.file;
      if (is_kept(step.file) && !depends_on_module(object, build)) kept.keep(kept_key(step, build), object);
    }
  }
}

}  // namespace kpatch
