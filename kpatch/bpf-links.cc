#include "kpatch/bpf-links.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace kpatch {
namespace {

long bpf(int command, bpf_attr& attributes) { return syscall(SYS_bpf, command, &attributes, sizeof attributes); }

// Information of that type about a link or a program; false when it went in between.
template <typename Info>
bool info_of(int get_fd, unsigned id, Info& info) {
  bpf_attr attributes{};
  attributes.link_id = id;  // a union: prog_id as well
  const auto fd = static_cast<int>(bpf(get_fd, attributes));
  if (fd < 0) return false;
  attributes = {};
  attributes.info.bpf_fd = static_cast<uint32_t>(fd);
  attributes.info.info_len = sizeof info;
  attributes.info.info = reinterpret_cast<uint64_t>(&info);
  const bool got = bpf(BPF_OBJ_GET_INFO_BY_FD, attributes) == 0;
  close(fd);
  return got;
}

}  // namespace

std::optional<std::vector<BpfLink>> bpf_links_of_kernel() {
  std::vector<BpfLink> links;
  for (unsigned id = 0;;) {
    bpf_attr attributes{};
    attributes.start_id = id;
    if (bpf(BPF_LINK_GET_NEXT_ID, attributes) != 0) {
      if (errno == ENOENT) return links;
      return std::nullopt;
    }
    id = attributes.next_id;
    bpf_link_info link{};
    if (!info_of(BPF_LINK_GET_FD_BY_ID, id, link) || link.type != BPF_LINK_TYPE_TRACING) continue;
    bpf_prog_info program{};
    BpfLink known{
        id, link.prog_id, {}, link.tracing.attach_type, link.tracing.target_obj_id, link.tracing.target_btf_id};
    if (info_of(BPF_PROG_GET_FD_BY_ID, link.prog_id, program)) {
      known.name.assign(program.name, strnlen(program.name, sizeof program.name));
      if (known.target_type == 0) known.target_type = program.attach_btf_id;
      if (known.target_object == 0) known.target_object = program.attach_btf_obj_id;
    }
    links.push_back(std::move(known));
  }
}

}  // namespace kpatch
