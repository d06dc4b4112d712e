// The whole differ on a pair of objects: an Error, a refusal, no change, or an object that can be read again.
#include "create-diff-object/differ.h"

#include <cstddef>

#include "create-diff-object/object.h"
#include "fuzz/input-file.h"
#include "fuzz/mutate-pair.h"
#include "support/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::filesystem::path out =
      std::filesystem::temp_directory_path() / ("fuzz-differ-" + std::to_string(getpid()));
  const auto [orig, patched] = kpatch::split_pair(data, size);
  const kpatch::InputFile orig_file(orig.data, orig.size), patched_file(patched.data, patched.size);
  kpatch::DifferInput input;
  input.orig = input.parent_symtab = orig_file.path();
  input.patched = patched_file.path();
  input.parent_name = "vmlinux";
  input.symvers = "/dev/null";
  input.output = out;
  input.struct_sizes = {{"bug_entry", 12}, {"jump_entry", 16}, {"exception_table_entry", 12}, {"alt_instr", 14}};
  kpatch::DifferResult result;
  try {
    result = kpatch::run_differ(input);
  } catch (const kpatch::Error&) {
    return 0;
  }
  kpatch::json_report(input, result);
  kpatch::text_report(result, true);
  if (result.exit_code == 0) kpatch::Object::read(out);
  return 0;
}
