// Every path of a patch ends in one of the roles, and "unknown" is one that is refused: a table that a script turns into
// C (syscall_64.tbl, x86-opcode-map.txt, *.asn1) looks as harmless as a text, and leaving it out builds half a patch.
//
// Sources: the kernel's top Makefile (targets that no build of the kernel needs), scripts/Makefile*, 5.10 to 7.2.
#include "kbuild/file-role.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include "kernel/kernel.h"
#include "support/text.h"

namespace kpatch {
namespace {

using std::string_view;

// Scripts for people: no rule of a kernel's build runs them.
constexpr auto tools_for_people = std::to_array<string_view>({
    "scripts/checkpatch.pl",
    "scripts/get_maintainer.pl",
    "scripts/coccinelle/",
    "scripts/coccicheck",
    "scripts/spelling.txt",
    "scripts/const_structs.checkpatch",
    "scripts/cleanfile",
    "scripts/cleanpatch",
    "scripts/decodecode",
    "scripts/decode_stacktrace.sh",
    "scripts/faddr2line",
    "scripts/diffconfig",
    "scripts/bloat-o-meter",
    "scripts/checkstack.pl",
    "scripts/checkkconfigsymbols.py",
    "scripts/get_abi.p",
    "scripts/gdb/",
    "scripts/package/",
    "scripts/tags.sh",
    "scripts/ver_linux",
    "scripts/extract-",
    "scripts/objdiff",
    "scripts/stackdelta",
    "scripts/stackusage",
    "scripts/sphinx-pre-install",
    "scripts/markup_oops.pl",
    "scripts/namespace.pl",
    "scripts/headerdep.pl",
    "scripts/export_report.pl",
    "scripts/bootgraph.pl",
    "scripts/patch-kernel",
    "scripts/prune-kernel",
    "scripts/show_delta",
    "scripts/tracing/",
    "scripts/profile2linkerlist.pl",
    "scripts/documentation-file-ref-check",
    "scripts/dev-needs.sh",
    "scripts/get_dvb_firmware",
    "scripts/config",
    "scripts/checkdeclares.pl",
    "scripts/checkincludes.pl",
    "scripts/checkversion.pl",
    "scripts/find-unused-docs.sh",
    "scripts/spdxcheck",
    "scripts/kernel-doc",
    "scripts/leaking_addresses.pl",
    "scripts/parse-maintainers.pl",
    "scripts/stableapi",
    "scripts/clang-tools/",
    "scripts/jobserver-exec",
    "scripts/git",
});

// Headers that a script or a host program makes C of as well, which isn't made anew. What is in a comment may count.
constexpr auto lists = std::to_array<string_view>({
    "include/linux/oid_registry.h",         // lib/build_OID_registry: oid_registry_data.c
    "include/scsi/scsi_devinfo.h",          // drivers/scsi/Makefile: scsi_devinfo_tbl.c
    "include/uapi/asm-generic/resource.h",  // security/apparmor/Makefile: rlim_names.h
    "include/uapi/linux/capability.h",      // security/apparmor/Makefile: capability_names.h
    "lib/crc32defs.h",                      // lib/gen_crc32table.c: crc32table.h
    "security/selinux/include/classmap.h",  // genheaders: flask.h, av_permissions.h
    "security/selinux/include/initial_sid_to_string.h",
});

// Host programs that the build of a kernel runs.
constexpr auto host_programs = std::to_array<string_view>({"tools/objtool/", "tools/bpf/resolve_btfids/"});

bool has_prefix(string_view path, auto const& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](string_view prefix) { return path.starts_with(prefix); });
}

// "x86" of "arch/x86/kernel/…".
string_view architecture_of(string_view path) {
  constexpr string_view folder = "arch/";
  if (!path.starts_with(folder)) return {};
  path.remove_prefix(folder.size());
  const size_t slash = path.find('/');
  return slash == string_view::npos ? string_view{} : path.substr(0, slash);
}

}  // namespace

FileVerdict file_verdict(string_view path, string_view arch) {
  const std::string name = std::filesystem::path(path).filename().string();
  if (path.starts_with("Documentation/") || path.starts_with("LICENSES/")) return {FileRole::idle, "documentation"};
  if (path.starts_with("samples/")) return {FileRole::idle, "an example"};
  if (is_packaging(path)) return {FileRole::idle, "packaging"};
  if (has_prefix(path, host_programs)) return {FileRole::generator, "a program that the kernel's build runs"};
  // Read by the compiler, and by a script that writes names for /proc/cpuinfo.
  if (name == "cpufeatures.h" || name == "vmxfeatures.h")
    if (path.starts_with("arch/"))
      if (architecture_of(path) == arch) return {FileRole::generator, "a list that a script turns into C"};
  if ((path.starts_with("rust/bindings/") || path.starts_with("rust/uapi/")) && name.ends_with(".h"))
    return {FileRole::generator, "what bindgen makes Rust of"};
  if (std::ranges::count(lists, path) > 0) return {FileRole::generator, "a list that the kernel's build makes C of"};
  // kernel/bpf/relo_core.c is `#include "../../tools/lib/bpf/relo_core.c"`.
  const bool of_kernel = path.starts_with("tools/lib/bpf/") && (name.ends_with(".c") || name.ends_with(".h"));
  if (path.starts_with("tools/") && !of_kernel) return {FileRole::idle, "a tool beside the kernel"};
  if (path.starts_with("usr/")) return {FileRole::idle, "the initramfs"};
  if (const string_view owner = architecture_of(path); !arch.empty() && !owner.empty() && owner != arch)
    return {FileRole::idle, "another architecture, " + std::string{owner}};
  if (has_prefix(path, tools_for_people)) return {FileRole::idle, "a script that no build runs"};
  if (name.ends_with("defconfig") || path.starts_with("kernel/configs/") ||
      (name.ends_with(".config") && path.find("/configs/") != string_view::npos))
    return {FileRole::idle, "a default for new configs: the kernel that runs has one"};
  if (name.starts_with('.')) return {FileRole::idle, "settings of an editor, or of git"};
  const bool top = path.find('/') == string_view::npos;
  const bool plain_text = name.ends_with(".rst") || name.ends_with(".md") || name.starts_with("README") ||
                          name == "TODO" || name == "MAINTAINERS" || name == "CREDITS" || name == "COPYING";
  if (plain_text) return {FileRole::idle, "documentation"};
  if (name.starts_with("Kconfig")) return {FileRole::build, ""};
  if (path.starts_with("scripts/") || path == "Makefile" || path == "Kbuild") return {FileRole::build, ""};
  if (top) return {FileRole::idle, "no part of a kernel"};
  if (name.starts_with("Makefile") || name == "Kbuild") {
    // arch/x86/Makefile sets flags for everything.
    const bool arch_top = path.starts_with("arch/") && std::count(path.begin(), path.end(), '/') == 2;
    return {arch_top && name != "Kbuild" ? FileRole::build : FileRole::makefile, ""};
  }
  if (name.ends_with(".c")) return {FileRole::source, ""};
  if (name.ends_with(".S")) return {FileRole::assembly, ""};
  if (name.ends_with(".h")) return {FileRole::header, ""};
  struct Generator {
    string_view ending, why;
  };
  for (const Generator& generator :
       {Generator{".tbl", "a table that a script turns into headers"},
        Generator{".asn1", "a grammar that a program turns into C"}, Generator{".pl", "a script that writes assembly"},
        Generator{".awk", "a script that writes C"}, Generator{".uc", "a template that a script turns into C"},
        Generator{".sh", "a script of the build"}, Generator{".py", "a script of the build"},
        Generator{".y", "a grammar"}, Generator{".l", "a scanner"},
        Generator{"opcode-map.txt", "a table that a script turns into C"}, Generator{".map", "a table"},
        Generator{".lds", "a linker script"}, Generator{".rs", "Rust"}, Generator{".rs.in", "Rust"},
        Generator{"_shipped", "what the build copies to a file of its own"}, Generator{".dts", "a device tree"},
        Generator{".dtsi", "a device tree"}, Generator{".ihex", "firmware"}})
    if (name.ends_with(generator.ending)) return {FileRole::generator, std::string{generator.why}};
  return {FileRole::unknown, ""};
}

bool same_options(string_view before, string_view after) {
  // What a build reads: every line but empty ones, comments, and help texts, which are indented deeper than their
  // "help" and end with the first line that isn't.
  auto options = [](string_view text) {
    std::vector<std::string> kept;
    size_t help_indent = std::string::npos;  // of the help text's first line; npos: not in one
    bool first_of_help = false;
    for (string_view line : lines_of(text)) {
      size_t indent = 0, at = 0;
      for (; at < line.size() && (line[at] == ' ' || line[at] == '\t'); ++at)
        indent = line[at] == '\t' ? (indent / 8 + 1) * 8 : indent + 1;
      string_view body = line.substr(at);
      while (!body.empty() && (body.back() == ' ' || body.back() == '\t')) body.remove_suffix(1);
      if (body.empty()) continue;
      if (first_of_help) {
        help_indent = indent;
        first_of_help = false;
      }
      if (help_indent != std::string::npos) {
        if (indent >= help_indent && indent > 0) continue;
        help_indent = std::string::npos;
      }
      if (body.starts_with('#')) continue;
      if (body == "help" || body == "---help---") {
        first_of_help = true;
        continue;
      }
      kept.emplace_back(body);
    }
    return kept;
  };
  return options(before) == options(after);
}

}  // namespace kpatch
