// Where each distribution puts the files of a kernel.
//
// A table, a distribution a block: whoever adds one adds a block. What its files can be taken from (an archive, a folder
// of packages, the system we run on) is told elsewhere and is the same for all.
//
// Two kinds of file need some work first (make_usable): symvers.gz and .xz, and a vmlinux whose symbols were split off
//
//     usr/lib/debug/boot/vmlinux-R.debug     symbols, DWARF, and sections without contents
//     boot/vmlinux-R.gz                      the contents
//
// which eu-unstrip joins, section by section, and refuses where they are none of each other's.
#include "kernel/distro/layout.h"

#include <fmt/args.h>
#include <fmt/format.h>

#include <array>

#include "arch/arch.h"
#include "kernel/distro/debuginfod.h"
#include "kernel/distro/unstrip.h"
#include "support/error.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

// /lib is in /usr since Debian 13, Fedora, SUSE 15.4: on a system it is the same folder, in packages another one.
constinit const InstalledLayout debian_layout = {
    .distribution = "Debian",
    .vmlinux = {"linux-image-{R}-dbg",
                "usr/lib/debug/boot/vmlinux-{R} usr/lib/debug/lib/modules/{R}/vmlinux "
                "usr/lib/debug/usr/lib/modules/{R}/vmlinux"},
    // Beside the modules since 7.2.
    .config = {"linux-image-{R} linux-image-{R}-unsigned linux-base-{R}",
               "boot/config-{R} usr/lib/modules/{R}/config usr/src/linux-headers-{R}/.config"},
    .symvers = {"linux-headers-{R}", "usr/src/linux-headers-{R}/Module.symvers"},
    .modules = {"linux-image-{R} linux-image-{R}-unsigned linux-modules-{R}",
                "lib/modules/{R}/kernel usr/lib/modules/{R}/kernel"},
    .debug_modules = {"linux-image-{R}-dbg",
                      "usr/lib/debug/lib/modules/{R}/kernel usr/lib/debug/usr/lib/modules/{R}/kernel"},
    .image = {"linux-image-{R} linux-image-{R}-unsigned linux-binary-{R}",
              "boot/vmlinuz-{R} usr/lib/modules/{R}/vmlinuz"},
    .source = "linux-source-* linux_*.dsc",
};

constinit const InstalledLayout ubuntu_layout = {
    .distribution = "Ubuntu",
    .vmlinux = {"linux-image-unsigned-{R}-dbgsym linux-image-{R}-dbgsym", "usr/lib/debug/boot/vmlinux-{R}"},
    .config = {"linux-modules-{R}", "boot/config-{R}"},
    .symvers = {"linux-headers-{R}", "usr/src/linux-headers-{R}/Module.symvers"},
    .modules = {"linux-modules-{R} linux-modules-extra-{R}", "lib/modules/{R}/kernel usr/lib/modules/{R}/kernel"},
    .debug_modules = {"linux-image-unsigned-{R}-dbgsym linux-image-{R}-dbgsym", "usr/lib/debug/lib/modules/{R}/kernel"},
    .image = {"linux-image-{R} linux-image-unsigned-{R}", "boot/vmlinuz-{R}"},
    .source = "linux-source-* linux_*.dsc",
};

constinit const InstalledLayout rpm_layout = {
    .distribution = "Fedora or RHEL",
    .vmlinux = {"kernel-debuginfo kernel-rt-debuginfo kernel-debug-debuginfo",
                "usr/lib/debug/lib/modules/{R}/vmlinux usr/lib/debug/usr/lib/modules/{R}/vmlinux"},
    .config = {"kernel-core kernel-rt-core kernel",
               "boot/config-{R} lib/modules/{R}/config usr/lib/modules/{R}/config usr/src/kernels/{R}/.config"},
    .symvers =
        {"kernel-devel kernel-core kernel-rt-devel",
         "usr/src/kernels/{R}/Module.symvers lib/modules/{R}/symvers.gz lib/modules/{R}/symvers.xz "
         "usr/lib/modules/{R}/symvers.gz usr/lib/modules/{R}/symvers.xz boot/symvers-{R}.gz boot/symvers-{R}.xz"},
    .modules = {"kernel-modules-core kernel-modules kernel-modules-extra",
                "lib/modules/{R}/kernel usr/lib/modules/{R}/kernel"},
    .debug_modules = {"kernel-debuginfo",
                      "usr/lib/debug/lib/modules/{R}/kernel usr/lib/debug/usr/lib/modules/{R}/kernel"},
    .image = {"kernel-core", "boot/vmlinuz-{R} lib/modules/{R}/vmlinuz usr/lib/modules/{R}/vmlinuz"},
    .source = "kernel-*.src.rpm",
};

constinit const InstalledLayout suse_layout = {
    .distribution = "SUSE",
    .vmlinux = {"kernel-{F}-debuginfo",
                "usr/lib/debug/boot/vmlinux-{R}.debug usr/lib/debug/lib/modules/{R}/vmlinux.debug "
                "usr/lib/debug/usr/lib/modules/{R}/vmlinux.debug"},
    .stripped = {"kernel-{F}",
                 "boot/vmlinux-{R}.gz boot/vmlinux-{R}.xz boot/vmlinux-{R}.zst usr/lib/modules/{R}/vmlinux.xz "
                 "usr/lib/modules/{R}/vmlinux.gz usr/lib/modules/{R}/vmlinux.zst"},
    .config = {"kernel-{F}", "boot/config-{R} usr/lib/modules/{R}/config"},
    .symvers = {"kernel-{F}-devel kernel-{F}",
                "usr/src/linux-{V}-obj/{A}/{F}/Module.symvers boot/symvers-{R}.gz usr/lib/modules/{R}/symvers.gz "
                "usr/lib/modules/{R}/symvers.xz usr/lib/modules/{R}/symvers.zst"},
    .modules = {"kernel-{F}", "lib/modules/{R}/kernel usr/lib/modules/{R}/kernel"},
    .debug_modules = {"kernel-{F}-debuginfo",
                      "usr/lib/debug/lib/modules/{R}/kernel usr/lib/debug/usr/lib/modules/{R}/kernel"},
    .image = {"kernel-{F}", "boot/vmlinuz-{R} usr/lib/modules/{R}/vmlinuz"},
    .source = "kernel-source",
};

// The headers package has the build tree; symbols are fetched by build id (debuginfod.cc).
constinit const InstalledLayout arch_layout = {
    .distribution = "Arch",
    .vmlinux = {"linux-headers", "usr/lib/modules/{R}/build/vmlinux"},
    .config = {"linux-headers", "usr/lib/modules/{R}/build/.config"},
    .symvers = {"linux-headers", "usr/lib/modules/{R}/build/Module.symvers"},
    .modules = {"linux", "usr/lib/modules/{R}/kernel"},
    .image = {"linux", "usr/lib/modules/{R}/vmlinuz"},
    .source = "a tree",
};

namespace {

void take_missing(KernelFiles& files, const KernelFiles& more) {
  for (const auto field : {&KernelFiles::vmlinux, &KernelFiles::config, &KernelFiles::symvers, &KernelFiles::modules,
                           &KernelFiles::debug_modules, &KernelFiles::image})
    if ((files.*field).empty()) files.*field = more.*field;
}

std::string name_of_machine(std::string_view DistroFacts::*name) {
  const Arch* arch = find_arch(host_machine());
  return arch ? std::string(arch->distro.*name) : std::string();
}

}  // namespace

std::span<const InstalledLayout* const> layouts() {
  static constexpr std::array all = {&debian_layout, &ubuntu_layout, &rpm_layout, &suse_layout, &arch_layout};
  return all;
}

std::vector<std::string> layout_words(std::string_view text, std::string_view release) {
  const size_t dash = release.rfind('-');
  fmt::dynamic_format_arg_store<fmt::format_context> arguments;
  arguments.push_back(fmt::arg("R", release));
  arguments.push_back(fmt::arg("V", release.substr(0, dash)));
  arguments.push_back(fmt::arg("F", dash == std::string_view::npos ? "" : release.substr(dash + 1)));
  const std::string machine = name_of_machine(&DistroFacts::rpm);
  arguments.push_back(fmt::arg("A", machine));
  std::vector<std::string> words;
  for (const std::string_view word : words_of(text)) words.push_back(fmt::vformat(word, arguments));
  return words;
}

fs::path place_below(const fs::path& root, const LayoutPart& part, std::string_view release) {
  std::error_code ignored;
  for (const std::string& place : layout_words(part.places, release))
    if (fs::exists(root / place, ignored)) return root / place;
  return {};
}

KernelFiles files_below(const InstalledLayout& layout, const fs::path& root, const std::string& release) {
  KernelFiles files;
  files.release = release;
  files.vmlinux = place_below(root, layout.vmlinux, release);
  files.config = place_below(root, layout.config, release);
  files.symvers = place_below(root, layout.symvers, release);
  files.modules = place_below(root, layout.modules, release);
  files.debug_modules = place_below(root, layout.debug_modules, release);
  files.image = place_below(root, layout.image, release);
  return files;
}

KernelFiles files_below(const fs::path& root, const std::string& release) {
  KernelFiles files;
  files.release = release;
  for (const InstalledLayout* layout : layouts()) take_missing(files, files_below(*layout, root, release));
  return files;
}

std::optional<KernelFiles> installed_files(const InstalledLayout& layout, const std::string& release,
                                           const DistroTools& tools) {
  KernelFiles files = files_below(layout, "/", release);
  if (files.vmlinux.empty() || files.config.empty() || files.symvers.empty() || files.modules.empty())
    return std::nullopt;
  make_usable(files, "/", tools);
  return files;
}

void make_usable(KernelFiles& files, const fs::path& root, const DistroTools& tools) {
  if (files.vmlinux.empty() && !files.image.empty() && has_debuginfod())
    files.vmlinux = fetch_vmlinux(files.image, files.release, tools);
  const bool split = files.vmlinux.extension() == ".debug";
  const std::string symvers_kind = files.symvers.extension();
  const bool packed = !files.symvers.empty() && symvers_kind != ".symvers";
  if (!split && !packed) return;
  fs::path stripped;
  if (split)
    for (const InstalledLayout* layout : layouts())
      if (stripped.empty()) stripped = place_below(root, layout->stripped, files.release);
  if (split && stripped.empty())
    throw Error(fmt::format("{} has symbols alone; the vmlinux that they were split from is missing ({})",
                            files.vmlinux.string(),
                            joined(layout_words(suse_layout.stripped.places, files.release), ", ")));
  CacheKey key;
  key.add("made usable", "1").add("of", files.release);
  if (packed) key.add("symvers", tools.cache.file_digest(files.symvers));
  if (split)
    key.add("stripped", tools.cache.file_digest(stripped)).add("symbols", tools.cache.file_digest(files.vmlinux));
  const fs::path made =
      tools.cache.entry("packages", key, "vmlinux and symvers of " + files.release, [&](const fs::path& folder) {
        const Console::Stage stage(tools.console, split ? "joining vmlinux with its symbols" : "unpacking symvers");
        if (packed) write_unpacked(files.symvers, folder / "Module.symvers");
        if (split) unstrip(stripped, files.vmlinux, folder / "vmlinux", tools.executor);
      });
  if (packed) files.symvers = made / "Module.symvers";
  if (split) files.vmlinux = made / "vmlinux";
}

}  // namespace kpatch
