// Where a distribution's packages put the files of a kernel, and what it calls those packages.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/distro/distro.h"

namespace kpatch {

// Words between spaces, in which
//
//     {R}   is the release            6.4.0-150600.21-default
//     {V}   the release before its flavour   6.4.0-150600.21
//     {F}   the flavour               default
//     {A}   this machine, as rpm writes it   x86_64
//
// packages: which may hold it, the one first that a message names. places: below a root, the best first.
struct LayoutPart {
  std::string_view packages, places;
};

struct InstalledLayout {
  std::string_view distribution;
  LayoutPart vmlinux;     // with symbols and DWARF; ".debug": those alone, the rest is in `stripped`
  LayoutPart stripped{};  // the vmlinux that a ".debug" belongs to, maybe compressed
  LayoutPart config, symvers, modules;
  LayoutPart debug_modules{};
  LayoutPart image{};
  std::string_view source;  // packages that hold it, for messages
};

extern const InstalledLayout debian_layout, ubuntu_layout, rpm_layout, suse_layout, arch_layout;
// All of them.
std::span<const InstalledLayout* const> layouts();

// The words of a text of the table, of that release.
std::vector<std::string> layout_words(std::string_view text, std::string_view release);

// The first place below the root that exists; empty when none does.
std::filesystem::path place_below(const std::filesystem::path& root, const LayoutPart& part, std::string_view release);

// The files of a release below a root, as they lie there: vmlinux may be a ".debug", symvers compressed. Empty: isn't there.
KernelFiles files_below(const InstalledLayout& layout, const std::filesystem::path& root, const std::string& release);
// The same, whatever layout each lies in.
KernelFiles files_below(const std::filesystem::path& root, const std::string& release);

// Of a release that is installed as a whole, ready for use; nothing when it isn't.
std::optional<KernelFiles> installed_files(const InstalledLayout& layout, const std::string& release,
                                           const DistroTools& tools);

// Makes of such files what a base is made from, in the cache: symvers unpacked, vmlinux joined with what its ".debug" was
// split from, or fetched by the image's build id where there is none and DEBUGINFOD_URLS is set. Files that are as they
// should be are left alone.
void make_usable(KernelFiles& files, const std::filesystem::path& root, const DistroTools& tools);

}  // namespace kpatch
