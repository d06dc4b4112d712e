// What was compiled of the original, for the next patch
//
// Of the original nothing changes while the base is the same: what the command says, and who obeys it, is all that
// matters. So the key is the command but for where its files go, and the digest of the compiler's own files:
//
//     gcc-12 … -ffunction-sections -o SCRATCH/objects/0.orig.o SRC/fs/proc/meminfo.c      base/DIGEST/objects/KEY
//
// Not kept is what read anything besides: a header of /usr/include may change while the base is the same. The dependency
// record tells. What the proof compares with the shipped code is kept in the same way, and so are the texts that
// genksyms reads.
#include "kpatch-build/kept-originals.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "support/digest.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

bool is_kept(Variant variant) {
  return variant == Variant::original || variant == Variant::as_shipped || variant == Variant::exports_before;
}

}  // namespace

KeptOriginals::KeptOriginals(const Base& base) : base_(base), files_(base.directory / "objects") {}

bool KeptOriginals::fetch(const Command& command, const CompileJob& job) const {
  return is_kept(job.variant) && files_.fetch(key(command, job), job.output);
}

void KeptOriginals::keep(const Command& command, const CompileJob& job) const {
  if (is_kept(job.variant) && read_base_only(command, job)) files_.keep(key(command, job), job.output);
}

std::string KeptOriginals::key(const Command& command, const CompileJob& job) const {
  std::string all = "2 " + base_.code_makers + '\0';
  for (const std::string& argument : command.argv) {
    if (argument != job.output && argument != job.dependencies) all += argument;
    all += '\0';
  }
  return digest_of(all);
}

// Nothing but the base's files, and the compiler's own (5.10 takes stdarg.h from it).
bool KeptOriginals::read_base_only(const Command& command, const CompileJob& job) const {
  std::vector<fs::path> folders = {base_.source, base_.kbuild};
  for (size_t i = 0; i + 1 < command.argv.size(); ++i)
    if (command.argv[i] == "-isystem") folders.emplace_back(command.argv[i + 1]);
  const std::vector<std::string> files = read_dependencies(read_file_if_any(job.dependencies));
  return !files.empty() && std::ranges::all_of(files, [&](const fs::path& file) {
    const fs::path whole = (base_.kbuild / file).lexically_normal();
    return std::ranges::any_of(folders, [&](const fs::path& folder) {
      return std::mismatch(folder.begin(), folder.end(), whole.begin(), whole.end()).first == folder.end();
    });
  });
}

}  // namespace kpatch
