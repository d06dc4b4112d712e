// The scripts that a package's installation and removal run on the machine that it is for.
#pragma once

#include <cstdint>
#include <string>

#include "package/contents.h"

namespace kpatch {

enum class Moment : uint8_t {
  after_install,   // loads what is for the kernel that runs
  before_removal,  // unloads it
  after_removal    // and what is left on the disk goes
};

// For /bin/sh, without #!. Each of them ends with 0 whatever happens in it: no transaction is broken by it.
std::string scriptlet(const Package& package, PackageFormat format, Moment moment);

}  // namespace kpatch
