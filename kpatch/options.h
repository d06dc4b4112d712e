// The command line of kpatch.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace kpatch {

struct TargetOptions {
  std::string command;
  std::vector<std::string> names;       // modules, files
  std::vector<std::string> cves;        // what is asked for: CVEs, commits, advisories
  std::string release;                  // -k
  std::string metrics;                  // status: the file that a monitor reads
  std::string log = "-";                // of events; "-": its own place, empty: none
  std::string format = "openvex";       // vex: or csaf, or spdx
  std::string author, publisher;        // vex
  std::vector<std::string> provenance;  // vex: statements of kpatch-build --provenance
  std::chrono::seconds wait{60};
  std::string output;             // support-bundle: a file; empty: stdout
  std::string health;             // load: a command
  std::chrono::seconds watch{0};  // load
  bool all = false, boot = false, force = false, json = false;
};

// Prints help and version; command is empty then. Throws Error. A command that isn't one of ours: what comes behind it
// isn't looked at, and is in names.
TargetOptions parse_target_options(int argc, char** argv);
bool is_command(const std::string& name);

}  // namespace kpatch
