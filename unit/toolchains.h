// The compilers that tests make kernel-like objects with: the host's, and Debian's cross compilers where installed.
#pragma once

#include <filesystem>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

struct TestToolchain {
  const char* name;      // gcc, clang_19, arm64 …; an identifier
  const char* compiler;  // a program in PATH
  const char* linker;
  const char* flags;    // as the kernel of this architecture is compiled, without the flags that split sections
  const char* prelude;  // C: the macros TRAP (an instruction, as a string) and notrace

  bool installed() const;
  // Compiles text (behind the prelude, under the name `source`) to directory/object. Fails the running test when that
  // doesn't work.
  void compile(const std::filesystem::path& directory, const std::string& text, const std::string& object,
               const std::string& extra_flags, const std::string& source = "file.c") const;
  void link_relocatable(const std::filesystem::path& directory, const std::string& object,
                        const std::string& inputs) const;
};

void PrintTo(const TestToolchain& toolchain, std::ostream* out);

const std::vector<TestToolchain>& toolchains();

// Runs a shell command in the directory; a failure fails the running test.
void run_in(const std::filesystem::path& directory, const std::string& command);

}  // namespace kpatch
