// What livepatches fix, as documents that vulnerability scanners read: VEX.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

// A livepatch, as far as a statement is bound to it.
struct StatedModule {
  std::string name;      // as the kernel spells it
  std::string release;   // of the kernel that it is for
  std::string file;      // its name, without folders; empty: no file is known
  std::string digest;    // SHA-256 of the file, in hex; empty: no file is known
  std::string build_id;  // in hex; may be empty
  std::vector<std::string> fixes;
  bool in_effect = false;  // here and now
};

struct VexDocument {
  std::vector<StatedModule> modules;
  std::string author = "kpatch";
  std::string publisher = "https://kpatch.example/";  // CSAF: the author's namespace
  long long time = 0;                                 // seconds since 1970
};

// A URI of RFC 3986 with its scheme, as CSAF wants its namespace.
bool is_uri(std::string_view text);

enum class FixKind { cve, commit, advisory };
FixKind kind_of(std::string_view fix);

// Package URLs: of the module by its digest, or by its build id where no file is known; of the kernel's release.
std::string module_url(const StatedModule& module);
std::string kernel_url(const StatedModule& module);
// A UUID that is the text's own: of RFC 9562's version 8, whose bits are its maker's: those of a digest.
std::string uuid_of(const std::string& text);
// Letters of ASCII alone.
std::string upper(std::string_view text);

// Throw Error when no module names a vulnerability: there is nothing to state then. Equal documents give equal JSON.
nlohmann::ordered_json open_vex(const VexDocument& document);  // OpenVEX 0.2.0
nlohmann::ordered_json csaf_vex(const VexDocument& document);  // CSAF 2.0, VEX profile

}  // namespace kpatch
