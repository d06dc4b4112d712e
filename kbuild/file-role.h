// What a file of the kernel's source is to a kernel that runs.
#pragma once

#include <string>
#include <string_view>

namespace kpatch {

enum class FileRole {
  source,     // .c
  assembly,   // .S
  header,     // .h
  makefile,   // of a folder
  build,      // may change every command: Kconfig, the top and the architecture's Makefile, scripts of the build
  idle,       // without influence on a kernel that runs
  generator,  // programs, tables and scripts that files of the build are made from or with
  unknown,    // whoever reads it
};

struct FileVerdict {
  FileRole role = FileRole::unknown;
  std::string why;  // of idle and generator, for a person: "documentation"
};

// By the path alone. arch: the kernel's folder below arch/, "x86"; empty where it isn't known.
FileVerdict file_verdict(std::string_view path, std::string_view arch);

// Whether two texts of a Kconfig file say the same to a build: comments and help texts are left out.
bool same_options(std::string_view before, std::string_view after);

}  // namespace kpatch
