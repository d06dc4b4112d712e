// A machine for tests of kpatch: a folder that has what a kernel would show in sysfs and procfs.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "kpatch/change.h"
#include "kpatch/module-file.h"
#include "kpatch/system.h"
#include "unit/temporary_folder.h"

namespace kpatch {

// A clock that goes by itself when somebody sleeps; load and remove do what a test says.
class TargetMachine : public System {
 public:
  explicit TargetMachine(const TemporaryFolder& folder) : System(folder.path()), folder_(folder) {
    put("/proc/sys/kernel/osrelease", "6.12.1-test\n");
    put("/proc/sys/kernel/random/boot_id", "boot-1\n");
    put("/proc/cmdline", "quiet\n");
    std::filesystem::create_directories(path("/sys/kernel/livepatch"));
  }

  void put(const std::string& file, const std::string& text) {
    std::filesystem::create_directories(path(file).parent_path());
    folder_.write(file.substr(1), text);
  }
  // What sysfs shows of a patch.
  void show(const std::string& name, bool enabled, bool transition) {
    const std::string folder = "/sys/kernel/livepatch/" + name;
    put(folder + "/enabled", enabled ? "1\n" : "0\n");
    put(folder + "/transition", transition ? "1\n" : "0\n");
    std::filesystem::create_directories(path(folder + "/vmlinux/f,1"));
    put("/sys/module/" + name + "/taint", "OK\n");
  }
  void hide(const std::string& name) { std::filesystem::remove_all(path("/sys/kernel/livepatch/" + name)); }

  int load(const std::filesystem::path& file) override { return on_load(file); }
  int remove(const std::string& module) override {
    removed.push_back(module);
    std::filesystem::remove_all(path("/sys/module/" + module));
    return 0;
  }
  void sleep(std::chrono::milliseconds time) override {
    time_ += time;
    if (on_time) on_time(time_);
  }
  std::chrono::steady_clock::time_point now() const override { return std::chrono::steady_clock::time_point(time_); }

  std::function<int(const std::filesystem::path&)> on_load = [](const std::filesystem::path&) { return 0; };
  std::function<void(std::chrono::milliseconds)> on_time;
  std::vector<std::string> removed;

 private:
  const TemporaryFolder& folder_;
  std::chrono::milliseconds time_{0};
};

class Target : public testing::Test {
 protected:
  ModuleFile module(const std::string& name = "livepatch_a") {
    ModuleFile file;
    file.path = folder_.path() / (name + ".ko");
    file.name = name;
    file.release = "6.12.1-test";
    file.livepatch = true;
    return file;
  }
  Change load(const ModuleFile& file) { return Changer(machine_, options_).load(file); }
  Change unload(const std::string& name) { return Changer(machine_, options_).unload(name); }

  TemporaryFolder folder_;
  TargetMachine machine_{folder_};
  ChangeOptions options_;
};

}  // namespace kpatch
