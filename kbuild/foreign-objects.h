// Objects that one folder's Makefile builds from another folder's source.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "kernel/kernel.h"

namespace kpatch {

// For each Makefile, the objects it names with a folder ("$(KVM)/kvm_main.o", "en/port.o"): base name -> folder of the
// Makefile, "." when it is an included one (Makefile.kvm), whose user can't be told. memo: the file where the answer is
// kept for the next time.
std::multimap<std::string, std::string> foreign_objects(const Base& base, const std::filesystem::path& memo);

}  // namespace kpatch
