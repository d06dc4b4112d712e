// --test: the finished module in its kernel, in QEMU.
#pragma once

#include <filesystem>
#include <vector>

#include "kpatch-build/stages.h"

namespace kpatch {

// Throws Error when this machine can't boot the base's kernel.
void require_testable(const Base& base);

// What speaks against delivering it. The kernel's messages are kept in the output directory where something does.
std::vector<Finding> test_module(const Build& build, const Base& base, const std::filesystem::path& module);

}  // namespace kpatch
