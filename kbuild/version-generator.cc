// scripts/Makefile.build, cmd_gensymtypes_c, for an object with exports:
//
//     gcc -E -D__GENKSYMS__ FLAGS fs/pipe.c | scripts/genksyms/genksyms -T fs/pipe.symtypes -r /dev/null
//     nm fs/pipe.o | sed -n 's/.* __export_symbol_\(.*\)/\1/p' | scripts/gendwarfksyms/gendwarfksyms --symtypes … fs/pipe.o
//
// the second with CONFIG_GENDWARFKSYMS (since 6.14). Both print "#SYMVER NAME CRC". The programs are made by
// modules_prepare.
#include "kbuild/version-generator.h"

namespace kpatch {

namespace fs = std::filesystem;

std::optional<VersionGenerator> version_generator(const Base& base) {
  const KernelConfig config = KernelConfig::read(base.config);
  if (!config.enabled("MODVERSIONS")) return std::nullopt;
  if (config.enabled("GENDWARFKSYMS"))
    return VersionGenerator{base.kbuild / "scripts/gendwarfksyms/gendwarfksyms", true};
  return VersionGenerator{base.kbuild / "scripts/genksyms/genksyms", false};
}

Command version_command(const VersionGenerator& generator, const fs::path& input, const fs::path& names,
                        const fs::path& output, const fs::path& types) {
  const char* script = generator.reads_objects ? R"(exec "$0" --symtypes "$4" "$1" <"$2" >"$3")"
                                               : R"(exec "$0" -T "$4" -r /dev/null <"$1" >"$3")";
  Command command;
  for (const fs::path& word : {generator.program, input, names, output, types}) command.argv.push_back(word.string());
  command.argv.insert(command.argv.begin(), {"sh", "-c", script});
  return command;
}

}  // namespace kpatch
