// bpf-hook entry|exit|modify|lsm FUNCTION PIN [VALUE]: a BPF program that does nothing but return VALUE (0), on a function
// of the kernel, kept by a file in bpffs and by nobody else.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) return fprintf(stderr, "usage: bpf-hook entry|exit|modify|lsm FUNCTION PIN [VALUE]\n"), 1;
  const enum bpf_attach_type kind = strcmp(argv[1], "entry") == 0    ? BPF_TRACE_FENTRY
                                    : strcmp(argv[1], "exit") == 0   ? BPF_TRACE_FEXIT
                                    : strcmp(argv[1], "modify") == 0 ? BPF_MODIFY_RETURN
                                                                     : BPF_LSM_MAC;
  struct btf* types = btf__load_vmlinux_btf();
  const int function = types == NULL ? -1 : btf__find_by_name_kind(types, argv[2], BTF_KIND_FUNC);
  if (function < 0) return fprintf(stderr, "%s: not in the kernel's BTF\n", argv[2]), 1;
  const int value = argc == 5 ? atoi(argv[4]) : 0;
  const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = value},
                                  {.code = BPF_JMP | BPF_EXIT}};
  char log[4096] = "";
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = kind, .attach_btf_id = function, .log_buf = log,
              .log_size = sizeof log, .log_level = 1);
  const int program = bpf_prog_load(kind == BPF_LSM_MAC ? BPF_PROG_TYPE_LSM : BPF_PROG_TYPE_TRACING, "looks_on", "GPL",
                                    code, sizeof code / sizeof *code, &options);
  if (program < 0) return perror("program"), fputs(log, stderr), 1;
  const int link = bpf_raw_tracepoint_open(NULL, program);
  if (link < 0) return perror("link"), 1;
  if (bpf_obj_pin(link, argv[3]) != 0) return perror("pin"), 1;
  return 0;
}
