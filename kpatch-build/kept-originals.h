// Objects of the original, kept with the base.
#pragma once

#include <string>

#include "kbuild/kbuild.h"
#include "kernel/kernel.h"
#include "support/command.h"
#include "support/kept-files.h"

namespace kpatch {

class KeptOriginals {
 public:
  explicit KeptOriginals(const Base& base);

  // Puts what the command would make where the job wants it. False: it has to be run.
  bool fetch(const Command& command, const CompileJob& job) const;
  // Keeps what the command has made, if a later run may have it.
  void keep(const Command& command, const CompileJob& job) const;

 private:
  std::string key(const Command& command, const CompileJob& job) const;
  bool read_base_only(const Command& command, const CompileJob& job) const;

  const Base& base_;
  KeptFiles files_;
};

}  // namespace kpatch
