#include "support/scratch.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "support/error.h"
#include "support/files.h"

namespace kpatch {

Scratch::Scratch() {
  std::string name = (std::filesystem::temp_directory_path() / "kpatch-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr)
    throw Error(fmt::format("can't make a folder like {}: {}", name, std::strerror(errno)));
  path_ = name;
}

Scratch::~Scratch() { remove_tree(path_); }

}  // namespace kpatch
