// klpsrc.conf: which functions of which sources become a livepatch.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

struct ConfSource {
  std::string module;  // "vmlinux", or a module's name
  std::string path;    // "fs/proc/meminfo.c", relative to the source
  std::vector<std::string> functions;
  std::vector<std::string> new_items;  // that the patch adds; told for the reader's sake
  int line = 0;
};

struct Conf {
  std::string name;                              // obj-m; empty: the folder's
  std::filesystem::path source, headers, debug;  // src-root, dev-root, debug-root; empty: not given
  std::vector<ConfSource> sources;

  // The name of a source in the livepatch's folder, without ".c": "meminfo", or "proc_meminfo" where another source is
  // called the same.
  std::string stem_of(const ConfSource& source) const;
};

// Both dialects. file: for messages, "klpsrc.conf:7: …". Throws Error that has all that is wrong.
Conf parse_conf(std::string_view text, const std::string& file);
std::string format_conf(const Conf& conf);

}  // namespace kpatch
