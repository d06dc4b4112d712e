// Static branches on keys of modules
//
//   if (static_branch_unlikely(&kvm_has_noapic_vcpu)) …
//
//   0f 1f 44 00 00      nop or jmp      __jump_table: this place, where to, kvm_has_noapic_vcpu
//
// When a module is loaded the kernel enters its branches into the lists of their keys (kernel/jump_label.c,
// jump_label_add_module()). Those of a livepatch come into it before the livepatch's relocations to other modules are
// applied (kernel/livepatch/core.c, klp_init_object_loaded()): the key isn't known yet, and may not even be there.
//
// What a branch asks for is the state of the key, which static_key_enabled() reads. So the object is compiled again,
// original and patched both, with a header before the kernel's own that makes such a test of these branches, and of
// no others. Both have it: what differs between them is what the patch changes, as before. The proof goes by the
// kernel's own compile, as always.
#include "kpatch-build/module-keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "support/files.h"

namespace kpatch {
namespace {

bool is_module_key(const Finding& finding) {
  return finding.rule == "static-key" && finding.severity == Severity::refusal &&
         finding.message.starts_with("belongs to module ");
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::set<std::string> names(const std::vector<ReportedFunction>& functions) {
  std::set<std::string> result;
  for (const ReportedFunction& function : functions) result.insert(function.name);
  return result;
}

}  // namespace

std::set<std::string> refused_module_keys(const PairReport& report) {
  std::set<std::string> keys;
  for (const Finding& finding : report.findings) {
    if (!is_module_key(finding)) continue;
    if (!is_name(finding.location.function)) return {};
    keys.insert(finding.location.function);
  }
  return keys;
}

void write_key_header(const std::filesystem::path& directory, const std::set<std::string>& keys) {
  // What the macros hand on is text: "&(&KEY)->key", "&(&KEY.key)->key", "&KEY.key", "&KEY".
  std::string named;
  for (const std::string& key : keys)
    named += fmt::format(
        "{}__builtin_strstr(text, \"&{}.\") || __builtin_strstr(text, \"&{})\") || "
        "!__builtin_strcmp(text, \"&{}\")",
        named.empty() ? "" : " || \\\n\t ", key, key, key);
  const std::string text = fmt::format(R"(/* Branches on these keys are tests of their state: {}. */
#ifndef KPATCH_MODULE_KEYS_H
#define KPATCH_MODULE_KEYS_H
#include_next <linux/jump_label.h>
#if defined(CONFIG_JUMP_LABEL) && !defined(__ASSEMBLY__) && !defined(__ASSEMBLER__)

#define KPATCH_TESTED(text) \
	({})

/* A key is enabled when the branch goes the other way than its kind says (enum jump_label_type). */
#define arch_static_branch(key, kind)                                        \
	({{                                                                   \
		bool kpatch_taken;                                           \
		if (KPATCH_TESTED(#key))                                     \
			kpatch_taken = (static_key_count(key) > 0) != (kind); \
		else                                                         \
			kpatch_taken = arch_static_branch(key, kind);        \
		kpatch_taken;                                                \
	}})
#define arch_static_branch_jump(key, kind)                                   \
	({{                                                                   \
		bool kpatch_taken;                                           \
		if (KPATCH_TESTED(#key))                                     \
			kpatch_taken = (static_key_count(key) > 0) != (kind); \
		else                                                         \
			kpatch_taken = arch_static_branch_jump(key, kind);   \
		kpatch_taken;                                                \
	}})
#define static_key_false(key) \
	(KPATCH_TESTED(#key) ? static_key_count(key) > 0 : static_key_false(key))
#define static_key_true(key) \
	(KPATCH_TESTED(#key) ? static_key_count(key) > 0 : static_key_true(key))

#endif
#endif
)",
                                       fmt::join(keys, ", "), named);
  std::filesystem::create_directories(directory / "linux");
  write_file(directory / "linux/jump_label.h", text);
}

bool stands_for(const PairReport& with_tests, const PairReport& first) {
  return std::ranges::includes(names(with_tests.changed), names(first.changed)) &&
         std::ranges::includes(names(with_tests.added), names(first.added)) &&
         std::ranges::none_of(with_tests.findings, is_module_key);
}

}  // namespace kpatch
