// What a module says of itself in its section .modinfo: "key=value" texts, each with a NUL.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lookup/binary.h"

namespace kpatch {

// The values of a field, in order. modinfo: the section's bytes, which the values refer to.
std::vector<std::string_view> modinfo_values(std::span<const std::byte> modinfo, std::string_view key);

// The modules whose exports it was linked against (modpost's `depends=`), by the names that the kernel gives them.
// Nothing where the file doesn't say: a file of debug information has a .modinfo without bytes, vmlinux has none.
std::optional<std::set<std::string>> direct_dependencies(const Binary& module);

// … and the modules that those need in turn: what is there for sure while this one is. open: a module by the kernel's
// name for it, nullptr when there is none, which then needs nothing.
std::set<std::string> dependencies(const Binary& module, const std::function<const Binary*(std::string_view)>& open);

}  // namespace kpatch
