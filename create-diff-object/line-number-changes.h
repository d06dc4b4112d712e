// Differences that are nothing but line numbers: a function that merely moved in its file is not a change.
#pragma once

#include <memory>
#include <string_view>

#include "arch/arch.h"
#include "create-diff-object/object.h"
#include "create-diff-object/source-lines.h"

namespace kpatch {

// Messages with a place in them, "… at fs/nfs/client.c:123" (__FILE__ ":" __stringify(__LINE__), fortified memcpy()):
// equal but for the number behind a source file's name.
bool differ_in_line_numbers(std::string_view a, std::string_view b);

// Whether an argument of this function is a line number of its caller.
bool takes_line_number(std::string_view function);

// By both objects' DWARF, which is read when it is first asked for.
class LineNumbers {
 public:
  LineNumbers(const Object& orig, const Object& patched) : orig_(orig), patched_(patched) {}

  enum class Proof : uint8_t {
    unknown,     // there is no DWARF for one of the places
    no,          // neither number has to do with its line
    near,        // both lie equally far behind their line, not farther than a macro's arguments may reach
    line_number  // both are their own line's, or that of the call which was inlined there
  };
  // at: the instruction's offset in each section.
  Proof prove(const NumberChange& change, SectionId orig, uint64_t orig_at, SectionId patched, uint64_t patched_at);

 private:
  const Object& orig_;
  const Object& patched_;
  std::unique_ptr<SourceLines> orig_lines_, patched_lines_;
};

}  // namespace kpatch
