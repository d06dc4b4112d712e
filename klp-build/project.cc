#include "klp-build/project.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::string;

constexpr int this_version = 1;

}  // namespace

std::vector<string> Project::names() const {
  std::vector<string> names;
  for (const ProjectCodestream& codestream : codestreams) names.push_back(codestream.is.name);
  return names;
}

string Project::module() const {
  string module = "livepatch_" + name;
  std::ranges::replace_if(
      module, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return module;
}

void require_project_name(const string& name) {
  const bool plain =
      name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == string::npos;
  constexpr size_t longest = 40;
  if (name.empty() || !plain || name.front() == '.' || name.front() == '-' || name.size() > longest)
    throw Error(
        fmt::format("--name {}: a project is called by at most {} letters, digits, '_', '.' and '-'", name, longest));
}

json to_json(const ProjectCodestream& codestream) {
  json files = json::object();
  for (const PatchedFile& file : codestream.files)
    files[file.path] = {{"module", file.module},
                        {"conf", file.conf},
                        {"symbols", file.symbols},
                        {"ext_symbols", file.ext_symbols},
                        {"klpp_symbols", file.klpp_symbols}};
  const Codestream& is = codestream.is;
  return {{"name", is.name},
          {"project", is.project},
          {"kernel", is.kernel},
          {"version", is.version},
          {"suite", is.suite},
          {"eol", is.eol},
          {"archs", {is.arch()}},
          {"files", files},
          {"configs", codestream.configs},
          {"required_patches", codestream.required_patches}};
}

ProjectCodestream project_codestream_of(const json& entry) {
  ProjectCodestream codestream;
  codestream.is.name = entry.at("name");
  codestream.is.kernel = entry.at("kernel");
  codestream.is.project = entry.value("project", "");
  codestream.is.version = entry.value("version", "");
  codestream.is.suite = entry.value("suite", "");
  codestream.is.eol = entry.value("eol", "");
  const json files = entry.value("files", json::object());
  for (const auto& [path, file] : files.items()) {
    PatchedFile patched{path, file.value("module", ""), file.value("conf", ""), {}, {}, {}};
    patched.symbols = file.value("symbols", std::vector<string>());
    patched.ext_symbols = file.value("ext_symbols", decltype(patched.ext_symbols)());
    patched.klpp_symbols = file.value("klpp_symbols", std::vector<string>());
    codestream.files.push_back(std::move(patched));
  }
  codestream.configs = entry.value("configs", decltype(codestream.configs)());
  codestream.required_patches = entry.value("required_patches", std::vector<string>());
  return codestream;
}

Project read_project(const fs::path& work_dir, const string& name) {
  require_project_name(name);
  Project project;
  project.folder = work_dir / name;
  project.name = name;
  const fs::path file = project.folder / "codestreams.json";
  if (!fs::exists(file))
    throw Error(fmt::format("{}: there is no project of that name, klp-build setup --name {} makes it",
                            project.folder.string(), name));
  try {
    const json whole = json::parse(read_file(file));
    // Those of other programs have none.
    const int version = whole.value("version", 0);
    if (version > this_version)
      throw Error(fmt::format("{}: is of a later klp-build (version {} of the file, this one knows {})", file.string(),
                              version, this_version));
    project.cve = whole.value("cve", "");
    project.data_dir = whole.value("data_dir", "");
    project.archs = whole.value("archs", std::vector<string>());
    project.patched_cs = whole.value("patched_cs", std::vector<string>());
    const json codestreams = whole.value("codestreams", json::object());
    for (const auto& [codestream, entry] : codestreams.items()) {
      if (!entry.contains("name") || !entry.contains("kernel"))
        throw Error(
            fmt::format("{}: codestream {} has no kernel, as older programs wrote it: run klp-build setup again",
                        file.string(), codestream));
      project.codestreams.push_back(project_codestream_of(entry));
    }
  } catch (const json::exception& error) {
    throw Error(fmt::format("{}: is no project: {}", file.string(), error.what()));
  }
  return project;
}

void write_project(const Project& project) {
  json codestreams = json::object();
  for (const ProjectCodestream& codestream : project.codestreams) codestreams[codestream.is.name] = to_json(codestream);
  const json whole = {{"version", this_version},   {"name", project.name},
                      {"cve", project.cve},        {"data_dir", project.data_dir.string()},
                      {"archs", project.archs},    {"patched_cs", project.patched_cs},
                      {"codestreams", codestreams}};
  write_file(project.folder / "codestreams.json", whole.dump(2) + "\n");
}

}  // namespace kpatch
