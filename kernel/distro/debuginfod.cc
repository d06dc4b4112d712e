// A vmlinux with its symbols from a debuginfod server.
//
// Archives drop a kernel's debug package when the next one comes; debuginfod servers keep more of them, under the build
// id that the linker gave each vmlinux. Whoever still has the image (vmlinuz) has the vmlinux that is packed in it, and thus
// its build id:
//
//     boot/vmlinuz-R → vmlinux without symbols, note NT_GNU_BUILD_ID → debuginfod-find debuginfo ID
//
// What a server has may be symbols alone, which are then joined with what the image held.
#include "kernel/distro/debuginfod.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "arch/arch.h"
#include "elf/elf.h"
#include "kernel/distro/unstrip.h"
#include "support/archive.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

// The vmlinux in an image, without symbols, written to a file.
void take_out(const fs::path& image, const fs::path& to) {
  const FileBytes contents = FileBytes::read(image);
  const Arch* arch = find_arch(host_machine());
  const auto payload =
      arch && arch->distro.payload ? arch->distro.payload(contents.bytes()) : std::span<const std::byte>();
  if (payload.empty())
    throw Error(fmt::format("{} is no image of a kernel that its vmlinux can be taken from", image.string()));
  const std::vector<std::byte> vmlinux = decompressed(payload, image.string());
  if (!ElfFile::is_elf(vmlinux)) throw Error(fmt::format("{} holds no vmlinux", image.string()));
  write_file(to, {reinterpret_cast<const char*>(vmlinux.data()), vmlinux.size()}, Flush::no);
}

std::string build_id_of(const fs::path& vmlinux, const fs::path& image) {
  const FileBytes contents = FileBytes::read(vmlinux);
  std::string id;
  for (const std::byte byte : ElfFile(contents.bytes(), image.string()).note("GNU", NT_GNU_BUILD_ID))
    id += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  if (id.empty())
    throw Error(fmt::format("the vmlinux in {} has no build id, by which servers know it", image.string()));
  return id;
}

bool has_code(const fs::path& file) {
  const FileBytes contents = FileBytes::read(file);
  const ElfFile elf(contents.bytes(), file.string());
  return std::ranges::any_of(elf.sections(),
                             [](const ElfSection& s) { return s.name == ".text" && s.header.sh_type == SHT_PROGBITS; });
}

// Asks the servers. folder: the client's own cache.
fs::path ask(const std::string& id, const std::string& release, const fs::path& folder, const DistroTools& tools) {
  CommandResult result;
  try {
    result = tools.executor.run({.argv = {"debuginfod-find", "debuginfo", id},
                                 .directory = {},
                                 .environment = {{"DEBUGINFOD_CACHE_PATH", folder.string()}},
                                 .outside = true});  // it has a network
  } catch (const Error& error) {
    throw Error(fmt::format("{}{}", error.what(), package_hint({"debuginfod-find"})));
  }
  if (!result.ok())
    tools.executor.fail(fmt::format("no server of DEBUGINFOD_URLS gives the vmlinux of {} (build id {})", release, id),
                        result);
  const auto lines = lines_of(result.output);
  return lines.empty() ? fs::path() : fs::path(lines.back());
}

}  // namespace

bool has_debuginfod() {
  const char* urls = std::getenv("DEBUGINFOD_URLS");
  return urls && !trimmed(urls).empty();
}

fs::path fetch_vmlinux(const fs::path& image, const std::string& release, const DistroTools& tools) {
  CacheKey key;
  key.add("debuginfod", "1").add("of", release).add("image", tools.cache.file_digest(image));
  return tools.cache.entry("packages", key, "the vmlinux of " + release, [&](const fs::path& folder) {
    const Console::Stage stage(tools.console, "fetching vmlinux by its build id");
    const fs::path stripped = folder / "stripped";
    take_out(image, stripped);
    const fs::path found = ask(build_id_of(stripped, image), release, folder / "client", tools);
    if (has_code(found))
      fs::rename(found, folder / "vmlinux");
    else
      unstrip(stripped, found, folder / "vmlinux", tools.executor);
    remove_tree(folder / "client");
    fs::remove(stripped);
  }) / "vmlinux";
}

}  // namespace kpatch
