// What livepatches are and what they were made from, as an SPDX document beside them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kpatch/module-file.h"
#include "kpatch/vex.h"

namespace kpatch {

// What an in-toto statement of kpatch-build --provenance says that a module was made from.
struct ModuleInputs {
  std::string sha256;                                          // of the module, in hex, lower case
  std::vector<std::pair<std::string, std::string>> resources;  // name ("patch fix.patch", "compiler"), SHA-256 in hex
};

// Throws Error, without a file's name, when it is no such statement.
ModuleInputs read_module_inputs(std::string_view statement);

struct SpdxModule {
  StatedModule stated;  // with its file's name and digest
  std::string sha1;     // of the file, in hex
  // .modinfo: license, kpatch_version, kpatch_options, kpatch_patch.
  std::vector<std::pair<std::string, std::string>> info;
  std::vector<std::string> compilers;                          // "GCC: (Debian 12.2.0-14) 12.2.0"
  std::vector<std::pair<std::string, std::string>> resources;  // of ModuleInputs; may be empty
};

// bytes: those of the module's file.
SpdxModule spdx_module(const ModuleFile& module, std::string_view bytes);
// Adds what the statement says, where it is of this module, or of this one before it was signed; else false.
bool add_inputs(SpdxModule& module, const ModuleInputs& inputs, std::string_view bytes);

struct SpdxDocument {
  std::vector<SpdxModule> modules;
  std::string author;                                 // an organization or a person; may be empty
  std::string publisher = "https://kpatch.example/";  // begins the document's namespace
  long long time = 0;                                 // seconds since 1970
};

// SPDX 2.3. Throws Error when there is no module, or the publisher's URI has a fragment. Equal documents give equal JSON.
nlohmann::ordered_json spdx(const SpdxDocument& document);

}  // namespace kpatch
