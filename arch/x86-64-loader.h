// The module loader's tables of x86-64; for arch/x86-64.cc alone.
#pragma once

#include <span>

#include "arch/loader.h"

namespace kpatch {

std::span<const LoaderSection> x86_64_loader_sections();
std::span<const BootSection> x86_64_boot_sections();

}  // namespace kpatch
