// Flags are those that decide what an object looks like: code model, ftrace sites, landing pads, sections. They come
// from arch/*/Makefile of Linux 6.12 with CONFIG_LIVEPATCH.

#include "unit/toolchains.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace kpatch {
namespace {

constexpr const char* x86_prelude = "#define TRAP \"ud2\"\n#define notrace __attribute__((no_instrument_function))\n";
constexpr const char* arm64_prelude =
    "#define TRAP \"brk #0x800\"\n#define notrace __attribute__((patchable_function_entry(0, 0)))\n";
constexpr const char* ppc_prelude =
    "#define TRAP \"twi 31,0,0\"\n#define notrace __attribute__((no_instrument_function))\n";
constexpr const char* larch_prelude =
    "#define TRAP \"break 1\"\n#define notrace __attribute__((patchable_function_entry(0, 0)))\n";
constexpr const char* s390_prelude =
    "#define TRAP \"mc 0,0\"\n#define notrace __attribute__((no_instrument_function))\n";

constexpr const char* gcc_x86_flags =
    "-pg -mfentry -mrecord-mcount -mcmodel=kernel -mno-sse -falign-functions=16 -fcf-protection=none "
    "-fno-reorder-functions";
constexpr const char* clang_x86_flags =
    "--target=x86_64-linux-gnu -pg -mfentry -mcmodel=kernel -mno-sse -mno-red-zone -fcf-protection=none";

}  // namespace

const std::vector<TestToolchain>& toolchains() {
  static const std::vector<TestToolchain> all{
#ifdef __x86_64__
      {"gcc", "gcc", "ld", gcc_x86_flags, x86_prelude},
      {"gcc_11", "gcc-11", "ld", gcc_x86_flags, x86_prelude},
      {"clang_14", "clang-14", "ld", clang_x86_flags, x86_prelude},
      {"clang_19", "clang-19", "ld", clang_x86_flags, x86_prelude},
#endif
      // CALL_OPS: two NOPs before the function, two behind its landing pad
      {"arm64", "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-ld",
       "-fpatchable-function-entry=4,2 -mbranch-protection=pac-ret+bti -mgeneral-regs-only -falign-functions=8",
       arm64_prelude},
      {"arm64_args", "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-ld",
       "-fpatchable-function-entry=2 -mbranch-protection=pac-ret+bti -mgeneral-regs-only", arm64_prelude},
      // what a livepatch is compiled with: data out of reach, no stub behind a sibling call
      {"ppc64le", "powerpc64le-linux-gnu-gcc", "powerpc64le-linux-gnu-ld",
       "-m64 -mlittle-endian -mabi=elfv2 -mcmodel=large -mcpu=power8 -pg -mprofile-kernel -mtraceback=no "
       "-fno-optimize-sibling-calls",
       ppc_prelude},
      {"s390x", "s390x-linux-gnu-gcc", "s390x-linux-gnu-ld",
       "-m64 -march=z13 -mbackchain -msoft-float -pg -mfentry -mrecord-mcount -mnop-mcount "
       "-mindirect-branch=thunk-extern -mfunction-return=thunk-extern -mindirect-branch-table",
       s390_prelude},
      {"loongarch64", "clang-19", "ld.lld-19",
       "--target=loongarch64-linux-gnusf -fpatchable-function-entry=2 -mno-relax", larch_prelude},
  };
  return all;
}

void PrintTo(const TestToolchain& toolchain, std::ostream* out) { *out << toolchain.name; }

bool TestToolchain::installed() const {
  std::istringstream path{std::getenv("PATH") == nullptr ? "/usr/bin" : std::getenv("PATH")};
  for (std::string folder; std::getline(path, folder, ':');)
    if (access((std::filesystem::path{folder} / compiler).c_str(), X_OK) == 0) return true;
  return false;
}

void run_in(const std::filesystem::path& directory, const std::string& command) {
  const std::string line = "cd '" + directory.string() + "' && " + command;
  ASSERT_EQ(std::system(line.c_str()), 0) << line;
}

void TestToolchain::compile(const std::filesystem::path& directory, const std::string& text, const std::string& object,
                            const std::string& extra_flags, const std::string& source) const {
  std::ofstream(directory / source) << prelude << text;
  run_in(directory, std::string{compiler} +
                        " -w -O2 -g0 -fno-pie -fno-asynchronous-unwind-tables -fno-common -fno-stack-protector " +
                        flags + " " + extra_flags + " -c -o " + object + " " + source);
}

void TestToolchain::link_relocatable(const std::filesystem::path& directory, const std::string& object,
                                     const std::string& inputs) const {
  run_in(directory, std::string{linker} + " -r -o " + object + " " + inputs);
}

}  // namespace kpatch
