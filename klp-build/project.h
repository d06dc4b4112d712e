// A livepatch's folder, WORK_DIR/NAME, and what is known of it: codestreams.json.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "klp-build/catalogue.h"

namespace kpatch {

// Functions of a source that are patched.
struct PatchedFile {
  std::string path;    // "sound/core/pcm.c"
  std::string module;  // "vmlinux", "snd-pcm", or its path; empty: whichever it is
  std::string conf;    // "CONFIG_SND_PCM"; may be empty
  std::vector<std::string> symbols;
  // After extract:
  std::map<std::string, std::vector<std::string>> ext_symbols;  // by the object that has them
  std::vector<std::string> klpp_symbols;                        // what is replaced
};

struct ProjectCodestream {
  Codestream is;
  std::vector<PatchedFile> files;
  std::map<std::string, std::map<std::string, std::string>> configs;  // y or m, by option and architecture
  std::vector<std::string> required_patches;                          // below the project's folder, in their order
};

struct Project {
  std::filesystem::path folder;
  std::string name;
  std::string cve;
  std::filesystem::path data_dir;  // of its own; empty: that of the settings
  std::vector<std::string> archs;
  std::vector<std::string> patched_cs;  // that have the fix already
  std::vector<ProjectCodestream> codestreams;

  std::vector<std::string> names() const;
  std::filesystem::path ccp(const ProjectCodestream& codestream) const { return folder / "ccp" / codestream.is.name; }
  std::filesystem::path lp(const ProjectCodestream& codestream) const { return ccp(codestream) / "lp"; }
  std::filesystem::path built(const ProjectCodestream& codestream) const {
    return ccp(codestream) / codestream.is.arch() / "rpm";
  }
  std::string module() const;  // what the livepatch is called
};

// Letters, digits, '_', '.' and '-'. Throws Error for anything else.
void require_project_name(const std::string& name);

// Throws Error: there is none, it is of a later version, or lacks what older ones didn't write.
Project read_project(const std::filesystem::path& work_dir, const std::string& name);
void write_project(const Project& project);

nlohmann::json to_json(const ProjectCodestream& codestream);
ProjectCodestream project_codestream_of(const nlohmann::json& json);

}  // namespace kpatch
