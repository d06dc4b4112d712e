// An inline function is as many functions as have it inlined
//
//   include/net/sock.h     static inline … sk_add_backlog(…)        the patch changes it
//   net/core/sock.c        has it inlined: compiled anew
//   net/ipv4/tcp_ipv4.c    has it inlined as well; of no --target: the old code goes on running there
//
// The include graph finds the units by text. Here the shipped binary is asked, which knows what its compiler did: the
// entry of a function that was inlined, with the file that defines it, is in each unit that inlined it. So this tells
// both what --target leaves out, and what the graph should ever miss.
#include "kbuild/inlined-copies.h"

#include <algorithm>
#include <map>
#include <utility>

#include "lookup/lookup.h"
#include "support/files.h"

namespace kpatch {
namespace {

// Whether a path of the compiler's is the file of the tree.
bool is_file(const std::string& path, const std::string& file) { return path == file || path.ends_with("/" + file); }

}  // namespace

std::vector<Finding> inlined_copies(const std::filesystem::path& vmlinux, std::span<const HeaderChange> changes,
                                    const std::set<std::string>& compiled) {
  std::set<std::string> names;
  for (const HeaderChange& change : changes) {
    const ChangedNames changed = changed_names(read_file_if_any(change.original), read_file_if_any(change.patched));
    names.insert(changed.names.begin(), changed.names.end());
  }
  if (names.empty()) return {};
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> left;  // (header, function): units
  for (const InlinedFunction& inlined : inlined_functions(vmlinux, names)) {
    const auto header =
        std::ranges::find_if(changes, [&](const HeaderChange& change) { return is_file(inlined.file, change.path); });
    const bool is_compiled =
        std::ranges::any_of(compiled, [&](const std::string& source) { return is_file(inlined.unit, source); });
    if (header != changes.end() && !is_compiled) left[{header->path, inlined.name}].push_back(inlined.unit);
  }
  std::vector<Finding> findings;
  for (auto& [function, units] : left)
    findings.push_back({"inlined-copy",
                        Severity::warning,
                        {.source = function.first, .function = function.second},
                        "is inlined in objects of vmlinux that the livepatch leaves as they are: the old code goes on "
                        "running there",
                        "leave --target out, or change the functions that have it inlined",
                        {{"in", std::move(units)}}});
  return findings;
}

}  // namespace kpatch
