// A finished livepatch, whoever made it: what it is, and what speaks against loading it.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "klp/klp.h"
#include "lookup/lookup.h"
#include "support/finding.h"

namespace kpatch {

// The kernel that is to load it. What is missing can't be asked, and is said to be so.
struct VerifyKernel {
  std::string release{};  // empty: the one that the module says it is for
  const Binary* vmlinux = nullptr;
  const Symvers* symvers = nullptr;
  std::function<const Binary*(std::string_view)> open_module{};  // by the kernel's name for it; may be empty
  std::string vermagic{};                                        // as its own modules have it; empty: not known
};

struct LivepatchVerdict {
  std::string name{};       // as the module calls itself
  std::string release{};    // that it was built for: the first word of its vermagic
  std::string maker{};      // by the form of its tables: "kpatch-build", "klp-build" …
  std::string kernel{};     // that it was judged for; empty: no vmlinux
  std::string signature{};  // "none", or what is appended
  std::vector<Replacement> functions{};
  std::vector<std::string> unchecked{};  // sentences
  std::vector<Finding> findings{};       // errors and warnings

  bool good() const;  // no error among them
};

// Throws Error when the file can't be read, or is no relocatable ELF file.
LivepatchVerdict verify(const std::filesystem::path& module, const VerifyKernel& kernel);

std::string text_of(const LivepatchVerdict& verdict, const std::filesystem::path& module);
nlohmann::json to_json(const LivepatchVerdict& verdict, const std::filesystem::path& module);

}  // namespace kpatch
