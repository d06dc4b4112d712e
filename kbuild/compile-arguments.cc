// Kbuild's command, and what is ours of it
//
// Kbuild's command for fs/proc/meminfo.o is run as it is, in kbuild's own directory, but for these things:
//
//     gcc … -I SRC/include … SRC/fs/proc/meminfo.c       the kernel's
//     gcc … -I VIEW/include … VIEW/fs/proc/meminfo.c     the patched source; -fmacro-prefix-map=SRC/= becomes VIEW/=, so
//                                                        that __FILE__ stays "fs/proc/meminfo.c"
//     -ffunction-sections -fdata-sections                one section a function, the unit of comparing
//     -o, -MD -MF                                        our own files
//     -I KMOD-TEMPLATE                                   the headers for patch authors
//     -include asm-generic/runtime-const.h               (x86 since 6.11, vmlinux's objects only) a runtime constant is
//         an instruction with a placeholder that the kernel fills in once, at boot. In a module nobody would. The
//         generic header has the same include guard and turns the constants into loads of the variables they come from.
//     -I KEYS                                            where a branch on a module's key can't be (kpatch-build/module-keys.cc)
#include "kbuild/compile-arguments.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "arch/arch.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

bool of_exports(Variant variant) { return variant == Variant::exports_before || variant == Variant::exports_after; }

// The macro of the first #ifndef, an include guard.
std::string guard_of(const fs::path& header) {
  const std::string text = read_file_if_any(header);
  for (const string_view line : lines_of(text)) {
    if (line.starts_with("#ifndef ")) return std::string(line.substr(8));
  }
  return {};
}

bool drops(string_view argument) {
  return argument.starts_with("-Wp,-MMD,") || argument.starts_with("-Wp,-MD,") || argument == "-c";
}

}  // namespace

bool of_patched_tree(Variant variant) {
  return variant == Variant::patched || variant == Variant::text_after || variant == Variant::exports_after;
}

bool preprocessed(Variant variant) {
  return variant == Variant::text_before || variant == Variant::text_after || of_exports(variant);
}

std::vector<std::string> compile_arguments(const CompileCommand& command, Variant variant,
                                           const CompileSettings& settings, const fs::path& output,
                                           const fs::path& dependencies, bool plain_runtime_constants) {
  const std::vector<std::string>& theirs = command.arguments;
  KPATCH_ASSERT(theirs.size() >= 3);
  std::vector<std::string> ours;
  bool module = false;
  for (size_t i = 0; i + 1 < theirs.size(); ++i) {
    if (theirs[i] == "-o") {
      ++i;
    } else if (!drops(theirs[i])) {
      module |= theirs[i] == "-DMODULE";
      ours.push_back(theirs[i]);
    }
  }
  const bool sections = variant == Variant::original || variant == Variant::patched;
  if (variant != Variant::as_shipped) {
    if (plain_runtime_constants && !module && !of_exports(variant))
      ours.insert(ours.end(), {"-include", "asm-generic/runtime-const.h"});
    // Before the kernel's folders: linux/livepatch_helpers.h.
    const auto first = std::ranges::find_if(ours, [](const std::string& word) { return word.starts_with("-I"); });
    const auto authors = ours.insert(first, "-I" + settings.author_headers.string());
    if (!settings.key_headers.empty()) ours.insert(authors, "-I" + settings.key_headers.string());
  }
  if (sections) ours.insert(ours.end(), {"-ffunction-sections", "-fdata-sections"});
  if (variant == Variant::as_shipped) ours.push_back("-g0");  // code is compared, nothing else
  if (preprocessed(variant)) ours.emplace_back("-E");
  // genksyms needs to know the lines' files: what the .c file itself defines is opaque to whoever imports.
  if (preprocessed(variant)) ours.emplace_back(of_exports(variant) ? "-D__GENKSYMS__" : "-P");
  ours.insert(ours.end(), {"-MD", "-MF", dependencies.string()});
  if (!preprocessed(variant)) ours.push_back("-c");
  ours.insert(ours.end(), {"-o", output.string(), theirs.back()});
  if (of_patched_tree(variant)) {
    for (std::string& argument : ours) argument = settings.view.translate(argument);
    // Debug information names the source's files, so that an unchanged object is equal byte by byte.
    const auto source = ours.end() - 1;
    ours.insert(source,
                fmt::format("-fdebug-prefix-map={}={}", settings.view.root().string(), settings.base.source.string()));
  }
  return ours;
}

std::vector<std::string> read_dependencies(string_view text) {
  std::vector<std::string> files;
  const size_t colon = text.find(": ");
  if (colon == string_view::npos) return files;
  text.remove_prefix(colon + 2);
  std::string file;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\n';
    if (text[i] == '\\' && (next == ' ' || next == '#')) {
      file += text[++i];
    } else if (text[i] == '$' && next == '$') {
      file += text[++i];
    } else if (text[i] == '\\' && next == '\n') {
      ++i;
      if (!file.empty()) files.push_back(std::exchange(file, {}));
    } else if (text[i] == ' ' || text[i] == '\n') {
      if (!file.empty()) files.push_back(std::exchange(file, {}));
      if (text[i] == '\n') break;
    } else {
      file += text[i];
    }
  }
  if (!file.empty()) files.push_back(std::move(file));
  return files;
}

bool has_runtime_constants(const Base& base) {
  if (base.arch == nullptr) return false;
  const fs::path architecture = base.source / "arch" / base.arch->kbuild.folder;
  const std::string guard = guard_of(architecture / "include/asm/runtime-const.h");
  return !guard.empty() && guard == guard_of(base.source / "include/asm-generic/runtime-const.h");
}

}  // namespace kpatch
