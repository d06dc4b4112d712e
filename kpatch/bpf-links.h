// The BPF programs that hang on functions of the kernel, by bpf(2): also those that nobody holds open, but pinned.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace kpatch {

struct BpfLink {
  unsigned id = 0;
  unsigned program = 0;
  std::string name;                             // of the program; may be empty
  unsigned kind = 0;                            // include/uapi/linux/bpf.h, enum bpf_attach_type; 0: not told
  unsigned target_object = 0, target_type = 0;  // numbers of BTF; 0: not told
};

// Those of fentry, fexit, fmod_ret and of security modules. Nothing where the kernel doesn't tell: without CAP_SYS_ADMIN,
// or without BPF.
std::optional<std::vector<BpfLink>> bpf_links_of_kernel();

}  // namespace kpatch
