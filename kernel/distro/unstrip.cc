#include "kernel/distro/unstrip.h"

#include "elf/elf.h"
#include "kernel/distro/distro.h"
#include "support/files.h"

namespace kpatch {

namespace fs = std::filesystem;

void write_unpacked(const fs::path& file, const fs::path& to) {
  const FileBytes contents = FileBytes::read(file);
  const auto bytes = contents.bytes();
  write_file(to, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, Flush::no);
}

void unstrip(const fs::path& stripped, const fs::path& debug, const fs::path& to, Executor& executor) {
  const fs::path plain = to.string() + ".stripped";
  write_unpacked(stripped, plain);
  run_unpacker({.argv = {"eu-unstrip", "-o", to.string(), plain.string(), debug.string()},
                .directory = {},
                .environment = {},
                .ours = true},
               {"eu-unstrip"}, debug, executor);
  fs::remove(plain);
}

}  // namespace kpatch
