// The command stays the kernel's own but for what it makes: headers, macros and language are decided by its options.
#include "extract/preprocess.h"

#include <string_view>

#include "support/error.h"
#include "support/files.h"

namespace kpatch {

std::vector<std::string> bare_command(const std::vector<std::string>& command) {
  std::vector<std::string> kept;
  for (size_t i = 0; i < command.size(); ++i) {
    const std::string_view word = command[i];
    if (word == "-o" || word == "-MF" || word == "-MT" || word == "-MQ") {
      ++i;
      continue;
    }
    if (word == "-c" || word == "-S" || word == "-E" || word == "-P" || word == "-MD" || word == "-MMD" ||
        word == "-MP" || word.starts_with("-Wp,-M") || (i > 0 && word.starts_with("-o") && word.size() > 2))
      continue;
    kept.emplace_back(word);
  }
  return kept;
}

std::string preprocess(const std::vector<std::string>& command, const std::filesystem::path& directory,
                       const std::filesystem::path& output, Executor& executor) {
  Command run{bare_command(command), directory, {}};
  run.argv.insert(run.argv.end(), {"-E", "-o", output.string()});
  const CommandResult result = executor.run(run);
  if (!result.ok()) throw Error("the compiler can't preprocess the file:\n" + result.output);
  return read_file(output);
}

}  // namespace kpatch
