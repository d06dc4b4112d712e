// An RPM from a spec, by rpmbuild.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "package/contents.h"

namespace kpatch {

struct RpmBuild {
  std::filesystem::path spec;                              // the spec's file
  std::filesystem::path output = ".";                      // where the package goes
  std::function<void(std::string_view)> on_line;           // of rpmbuild's output; may be empty
  std::function<void(const std::string& name)> on_result;  // the package's name, before it is written; may be empty
};

// "NAME-1-1.x86_64.rpm"
std::string rpm_name(const Package& package);
// Its path. Throws Error with rpmbuild's last lines when it fails.
std::filesystem::path build_rpm(const Package& package, const RpmBuild& build);

}  // namespace kpatch
