// Line numbers reach the code as arguments:
//
//   fs/ext4/inode.c:3140   ext4_journal_start(inode, type, 2)   →   mov $0xc44,%edx      (0xc44 = 3140)
//
// and an added line above changes it. DWARF knows the line of each instruction. A number that is its own line in the
// original, and its own, other line in the patched object, is __LINE__: no other number follows the code around. The
// instruction may belong to a function that was inlined, which got the number from its caller; then it is the line of
// the call. Nothing but equality counts, on the same level in both objects.
//
// Without DWARF, a list of functions that are known to get a line number has to do. With it, such an argument must
// still be near to its line (a macro's invocation may have several), so that a value that somebody changed in a
// printk() is seen.

#include "create-diff-object/line-number-changes.h"

#include <algorithm>
#include <array>

namespace kpatch {
namespace {

// Helpers that get a line number as an argument (include/asm-generic/bug.h, linux/kernel.h, linux/rcupdate.h,
// fs/btrfs).
constexpr auto line_helpers = std::to_array<std::string_view>(
    {"__warn_printk", "__might_sleep", "___might_sleep", "__might_resched", "__might_fault", "__cant_sleep",
     "__cant_migrate", "_printk", "printk", "lockdep_rcu_suspicious", "__btrfs_abort_transaction",
     "__btrfs_handle_fs_error", "__btrfs_panic", "btrfs_assertfail", "assertfail", "btrfs_assertfail.constprop.0",
     "rcu_warn", "dump_stack", "btrfs_print_tree_lock"});

// Lines of one macro invocation, from its name to the end of its arguments.
constexpr int64_t longest_invocation = 32;

}  // namespace

bool takes_line_number(std::string_view name) {
  if (std::find(line_helpers.begin(), line_helpers.end(), name) != line_helpers.end()) return true;
  if (name.starts_with("warn_slowpath_")) return true;
  return name.starts_with("btrfs_assertfail") || name.starts_with("assertfail.");
}

bool differ_in_line_numbers(std::string_view a, std::string_view b) {
  auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    const bool number = i >= 3 && a[i - 1] == ':' && a[i - 3] == '.' && (a[i - 2] == 'c' || a[i - 2] == 'h');
    if (number && is_digit(a[i]) && is_digit(b[j])) {
      while (i < a.size() && is_digit(a[i])) ++i;
      while (j < b.size() && is_digit(b[j])) ++j;
      continue;
    }
    if (a[i++] != b[j++]) return false;
  }
  return i == a.size() && j == b.size();
}

LineNumbers::Proof LineNumbers::prove(const NumberChange& change, SectionId orig, uint64_t orig_at, SectionId patched,
                                      uint64_t patched_at) {
  if (!orig_lines_) {
    orig_lines_ = std::make_unique<SourceLines>(orig_);
    patched_lines_ = std::make_unique<SourceLines>(patched_);
  }
  Proof proof = Proof::no;
  const auto weigh = [&](int orig_line, int patched_line) {
    const int64_t behind = change.orig - orig_line;
    if (orig_line <= 0 || patched_line <= 0 || behind != change.patched - patched_line) return;
    if (behind == 0)
      proof = Proof::line_number;
    else if (behind > 0 && behind <= longest_invocation && proof == Proof::no)
      proof = Proof::near;
  };
  const std::optional<int> orig_line = orig_lines_->line(orig, orig_at);
  const std::optional<int> patched_line = patched_lines_->line(patched, patched_at);
  if (!orig_line || !patched_line) return Proof::unknown;
  weigh(*orig_line, *patched_line);
  if (proof == Proof::line_number) return proof;
  const std::vector<int> orig_calls = orig_lines_->call_lines(orig, orig_at);
  const std::vector<int> patched_calls = patched_lines_->call_lines(patched, patched_at);
  if (orig_calls.size() == patched_calls.size())
    for (size_t i = 0; i < orig_calls.size(); ++i) weigh(orig_calls[i], patched_calls[i]);
  return proof;
}

}  // namespace kpatch
