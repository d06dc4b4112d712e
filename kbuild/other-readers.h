// Who reads a touched file besides the C files that become objects of the kernel: assembly, linker scripts, the sources of
// generated headers, and the images within the image (vDSO, boot code, EFI stub, realmode, purgatory).
#pragma once

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kbuild/mentions.h"
#include "kernel/kernel.h"
#include "patch/patch.h"
#include "support/executor.h"

namespace kpatch {

struct OtherReader {
  std::string path;  // relative to the source: "arch/x86/entry/entry_64.S"
  std::string what;  // "assembly", "a linker script", "the vDSO", "the source of a generated header" …
};

struct OtherReading {
  OtherReader reader;
  std::vector<std::string> files;     // those of the touched files that it reads
  std::vector<std::string> values{};  // of a generated header, by name: those that are others
};

// Files below the source that such readers are made from, sorted by path. arch: the folder below arch/.
std::vector<OtherReader> other_readers(const std::filesystem::path& source, std::string_view arch);

// Those of them that include C files of `files` by themselves, which the kernel has as objects: boot/compressed/misc.c has
// lib/decompress_inflate.c. Their images ran before the kernel, or beside it, and go on with what they have. Sorted by
// the readers' paths.
std::vector<OtherReading> image_copies(const std::filesystem::path& source, std::string_view arch,
                                       std::span<const std::string> files);

struct OtherReadings {
  std::vector<OtherReading> changed;  // by readers whose result the patch changes, sorted by the readers' paths
  std::vector<OtherReading> same;     // by those that read another text and come out as before, the same
  std::set<std::string> read;         // files that any of them reads, or is
};

// What assembly and linker scripts are preprocessed to, and what C is compiled to, is compared with the patch and without
// it, by the flags of vmlinux, and of what they make something else of, by those of its folder where kbuild knows them; where
// it can't be made so, another text is enough. kernel: all objects of the kernel, whose sources are no other readers; without
// one of vmlinux nothing is read. files: touched files, relative to the source; changes: what changes in them, or nothing
// where one of them is in one tree alone. A reader that mentions nothing of that isn't run. Throws Error when a command can't be run.
OtherReadings other_readings(const Base& base, PatchedView& view, std::span<const CompileCommand> kernel,
                             std::string_view arch, std::span<const std::string> files,
                             std::span<const HeaderChange> changes, Executor& executor,
                             const std::filesystem::path& scratch);

}  // namespace kpatch
