// Whether a finished livepatch is what the compiler wrote: it is compared with the patched objects.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "klp/audit.h"
#include "support/finding.h"

namespace kpatch {

// An object as the compiler wrote it, before objtool, of which parts are in the livepatch.
struct PatchedObject {
  std::filesystem::path file;
  std::string owner;  // what it is linked into: "vmlinux", or a module by the name that the kernel gives it
};

// What made the module of the objects. Extracted source is compiled by itself: a static function may be global there,
// what it refers to is bound by name, and its symbols stand behind its own file's.
enum class MadeOf : uint8_t { diff_objects, extracted_source };

// Returns an error (rule "delivery") for each thing in the module that is not what the objects say: function, section
// and offset in the module, what was expected and what is there. Nothing for machines that the audit doesn't know yet.
// Reads each file once, and is linear in their sizes. Throws Error when the module or an object can't be read.
std::vector<Finding> check_delivery(const AuditInput& input, std::span<const PatchedObject> objects,
                                    MadeOf made_of = MadeOf::diff_objects);

}  // namespace kpatch
