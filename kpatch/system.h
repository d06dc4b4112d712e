// The machine: its files, and the two system calls that change it.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kpatch/bpf-links.h"

namespace kpatch {

class System {
 public:
  // root: where proc, sys, dev and var lie. Another one than / is for tests.
  explicit System(std::filesystem::path root = "/") : root_(std::move(root)) {}
  virtual ~System() = default;
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  std::filesystem::path path(std::string_view absolute) const { return root_ / absolute.substr(1); }
  // The trimmed text of a file; empty when it isn't there or can't be read.
  std::string text(std::string_view absolute) const;
  // 0, or errno.
  int write(std::string_view absolute, std::string_view text) const;

  std::string release() const { return text("/proc/sys/kernel/osrelease"); }
  std::string boot_id() const { return text("/proc/sys/kernel/random/boot_id"); }
  // The value of a word NAME=VALUE of the kernel's command line; the last one counts.
  std::optional<std::string> boot_option(std::string_view name) const;
  // A counter of /sys/kernel (oops_count, warn_count); 0 where the kernel has none.
  long counter(std::string_view name) const;

  // finit_module(2): 0, or errno.
  virtual int load(const std::filesystem::path& file);
  // delete_module(2), which doesn't wait: 0, or errno.
  virtual int remove(const std::string& module);
  // Programs on functions, or nothing where they aren't told.
  virtual std::optional<std::vector<BpfLink>> bpf_links() const;
  virtual void sleep(std::chrono::milliseconds time);
  virtual std::chrono::steady_clock::time_point now() const { return std::chrono::steady_clock::now(); }

 private:
  std::filesystem::path root_;
};

// What the kernel logs from here on, or what it has kept since its start.
class KernelLog {
 public:
  enum class From { here, start };
  explicit KernelLog(const System& system, From from = From::here);
  ~KernelLog();
  KernelLog(const KernelLog&) = delete;
  KernelLog& operator=(const KernelLog&) = delete;

  // The messages since then, without their prefixes.
  std::vector<std::string> messages() const;

 private:
  int fd_;
};

}  // namespace kpatch
