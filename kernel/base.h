// The base: what a patch is built against. Made once per (source, config, release, compiler, Module.symvers), kept
// in the cache, read-only from then on.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/finding.h"

namespace kpatch {

struct Arch;

struct Base {
  std::string release;                  // "6.12.117+deb12-cloud-amd64"
  std::filesystem::path directory;      // the base's folder in the cache
  std::filesystem::path source;         // the source tree that kbuild knows; ours, never the user's
  std::filesystem::path kbuild;         // the prepared O= directory
  std::filesystem::path config;         // the config it was prepared with
  std::filesystem::path vmlinux;        // the vmlinux that runs, with symbols (and DWARF where there is)
  std::filesystem::path vmlinux_index;  // lookup's index of it
  std::filesystem::path symvers;        // Module.symvers, vmlinux and modules
  std::filesystem::path modules;        // shipped: modules / "net/netfilter/xt_comment.ko", or .ko.xz, .ko.gz, .ko.zst
  std::filesystem::path debug_modules;  // the same with DWARF, uncompressed; empty when there are none
  std::filesystem::path
      debug_package;            // unpack_debug_modules() fills debug_modules from it; empty: it is full, or isn't there
  std::filesystem::path image;  // of this kernel, one that boots, where it is known, for tests in QEMU; or empty
  const Arch* arch = nullptr;   // of vmlinux; each base that was made has one
  std::vector<std::string> compiler;           // the compiler's command, "gcc-12"
  std::vector<std::string> build_variables{};  // what make is given besides, "DISTRIBUTOR=Debian": the code has it
  std::string
      code_makers{};        // tells compilers apart that call themselves the same: a part of each key of what they made
  bool built_here = false;  // an own kernel: objects and .cmd records are in kbuild
  std::vector<Finding> findings;  // why this run had to make it ("base"), and what it isn't sure of ("compiler")
};

// How kbuild compiles one object of the base.
struct CompileCommand {
  std::string object;  // as kbuild names it, relative to kbuild: "arch/x86/kvm/../../../virt/kvm/kvm_main.o"
  std::string source;  // relative to source, normalised: "virt/kvm/kvm_main.c"
  std::string module;  // empty for vmlinux, else the module's path without .ko: "net/netfilter/xt_comment"
  std::vector<std::string> arguments;       // the compiler's argv, to be run in kbuild; ends with -c -o OBJECT SOURCE
  std::vector<std::string> other_images{};  // objects that another image of the kernel has of the same source
};

}  // namespace kpatch
