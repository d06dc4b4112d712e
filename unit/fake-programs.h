// Tests whose programs (apt, mmdebstrap, compilers) are shell scripts.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "kernel/distro/distro.h"
#include "support/files.h"
#include "unit/temporary_folder.h"

namespace kpatch {

// Scripts stand in front of this machine's programs while the test runs. They find its folder in $FAKE, and write to
// $FAKE/calls what they were asked for.
class FakePrograms : public testing::Test {
 protected:
  FakePrograms() {
    setenv("PATH", ((folder_.path() / "bin").string() + ":" + path_).c_str(), 1);
    setenv("FAKE", folder_.path().c_str(), 1);
  }
  ~FakePrograms() override { setenv("PATH", path_.c_str(), 1); }

  void program(const std::string& name, std::string_view script) { folder_.write("bin/" + name, script, true); }
  std::string calls() const { return read_file_if_any(folder_.path() / "calls"); }

  std::string path_ = std::getenv("PATH");
  TemporaryFolder folder_;
  Console console_{0};
  Executor executor_{folder_.path() / "log"};
  Cache cache_{folder_.path() / "cache", console_};
  DistroTools tools_{cache_, executor_, console_};
};

}  // namespace kpatch
