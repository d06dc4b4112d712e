// Both forms of the file
//
//     work_dir=~/klp/livepatches          [Paths]
//     data_dir=~/klp/data                 work_dir = ~/klp/livepatches
//                                         [Settings]
//                                         workers = 10
//                                         suites = bookworm, trixie
#include "klp-build/settings.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/property_tree/ini_parser.hpp>
#include <boost/property_tree/ptree.hpp>
#include <charconv>
#include <cstdlib>
#include <map>
#include <sstream>

#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

fs::path home_folder() {
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] == '\0') throw Error("HOME isn't set, and klp-build's files lie below it");
  return home;
}

class Reader {
 public:
  Reader(const fs::path& file, fs::path home) : file_(file), home_(std::move(home)) {}

  void take(const string& section, const string& key, const string& value) {
    if (section == "Settings" && key == "workers") return take_workers(value);
    if (section == "Settings" && key == "suites") return take_suites(value);
    if (section == "Settings" && key == "bugzilla_api_key") return;  // of those who have one: nobody is asked
    const auto path = paths_.find(key);
    if (section != "Paths" || path == paths_.end())
      throw Error(fmt::format("{}: there is no entry '{}' in [{}]", file_.string(), key, section));
    fs::path& field = settings_.*path->second;
    field = value;
    if (value == "~" || value.starts_with("~/")) field = home_ / value.substr(std::min<size_t>(2, value.size()));
    const bool folder = key.ends_with("_dir");
    std::error_code unknown;
    if (!fs::exists(field, unknown)) {
      // These are made where they are needed.
      if (key == "work_dir" || key == "data_dir" || key == "kgr_patches_dir") return;
      throw Error(fmt::format("{}: {}: {} doesn't exist", file_.string(), key, field.string()));
    }
    if (folder && !fs::is_directory(field, unknown))
      throw Error(fmt::format("{}: {}: {} isn't a directory", file_.string(), key, field.string()));
  }

  KlpSettings done() {
    if (settings_.stable_git.empty()) settings_.stable_git = settings_.kernel_dir;
    for (const char* key : {"work_dir", "data_dir"})
      if ((settings_.*paths_.at(key)).empty()) throw Error(fmt::format("{}: {} is missing", file_.string(), key));
    return settings_;
  }

 private:
  void take_workers(const string& value) {
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), settings_.workers);
    if (error != std::errc() || end != value.data() + value.size() || settings_.workers == 0)
      throw Error(fmt::format("{}: workers: '{}' is no number of processes", file_.string(), value));
  }

  void take_suites(string value) {
    std::ranges::replace(value, ',', ' ');
    for (const std::string_view suite : words_of(value)) settings_.suites.emplace_back(suite);
  }

  const fs::path& file_;
  fs::path home_;
  KlpSettings settings_;
  const std::map<string, fs::path KlpSettings::*> paths_ = {{"work_dir", &KlpSettings::work_dir},
                                                            {"data_dir", &KlpSettings::data_dir},
                                                            {"codestreams", &KlpSettings::codestreams},
                                                            {"kgr_patches_dir", &KlpSettings::kgr_patches_dir},
                                                            {"kgr_patches_tests_dir", &KlpSettings::tests_dir},
                                                            {"tracker", &KlpSettings::tracker},
                                                            {"cve_records", &KlpSettings::cve_records},
                                                            {"stable_git", &KlpSettings::stable_git},
                                                            {"kernel_dir", &KlpSettings::kernel_dir},
                                                            {"kernel_src_dir", &KlpSettings::kernel_src_dir}};
};

}  // namespace

KlpSettings parse_settings(const string& text, const fs::path& file, const fs::path& home) {
  namespace pt = boost::property_tree;
  pt::ptree tree;
  std::istringstream stream(text);
  try {
    pt::read_ini(stream, tree);
  } catch (const pt::ini_parser_error& error) {
    throw Error(fmt::format("{}:{}: {}", file.string(), error.line(), error.message()));
  }
  Reader reader(file, home);
  for (const auto& [name, entry] : tree) {
    if (entry.empty()) {
      reader.take("Paths", name, entry.data());
      continue;
    }
    for (const auto& [key, value] : entry) reader.take(name, key, value.data());
  }
  return reader.done();
}

KlpSettings read_settings(string& said) {
  const fs::path home = home_folder();
  const char* base = std::getenv("XDG_CONFIG_HOME");
  const fs::path file = (base != nullptr && base[0] == '/' ? fs::path(base) : home / ".config") / "klp-build/config";
  if (!fs::exists(file)) {
    fs::create_directories(file.parent_path());
    write_file(file, "[Paths]\nwork_dir = ~/klp/livepatches\ndata_dir = ~/klp/data\n\n[Settings]\nworkers = 4\n");
    said = fmt::format("{}: written, with livepatches in ~/klp/livepatches and data in ~/klp/data", file.string());
  }
  KlpSettings settings = parse_settings(read_file(file), file, home);
  for (const auto& [name, field] : {std::pair("KLP_WORK_DIR", &settings.work_dir),
                                    {"KLP_DATA_DIR", &settings.data_dir},
                                    {"KLP_KERNEL_SOURCE", &settings.kernel_src_dir}})
    if (const char* given = std::getenv(name); given != nullptr && given[0] != '\0') *field = fs::absolute(given);
  fs::create_directories(settings.work_dir);
  fs::create_directories(settings.data_dir);
  return settings;
}

}  // namespace kpatch
