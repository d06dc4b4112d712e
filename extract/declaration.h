// Turning a definition into a declaration, as edits of its text.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "extract/parsed-unit.h"

namespace kpatch {

struct TextEdit {
  uint32_t begin = 0, end = 0;  // in the unit's text; equal: an insertion
  std::string text;
};

// What a declared name becomes.
struct DeclaredName {
  std::string name{};     // another one; empty: its own
  std::string label{};    // of the assembler; empty: none
  int64_t elements = -1;  // of an array whose size only its initial value told
};

// Of a declaration of variables: tokens [first, last), the last is the semicolon. names: by the offset of each name.
// What was initialised isn't, `static` is `extern`, attributes that define something are gone.
std::vector<TextEdit> as_extern_variables(const ParsedUnit& unit, uint32_t first, uint32_t last,
                                          const std::map<uint32_t, DeclaredName>& names);

// The prototype of a function with a body, whose brace is token `brace`.
std::string prototype_of(const ParsedUnit& unit, uint32_t first, uint32_t brace);

// Takes out the attributes that make an alias of what is declared.
std::vector<TextEdit> without_aliases(const ParsedUnit& unit, uint32_t first, uint32_t last);

// Whether a declaration of one function can be made static: its attributes and assembler's name say nothing against it.
bool can_be_static(const ParsedUnit& unit, uint32_t first, uint32_t last);
std::vector<TextEdit> as_static(const ParsedUnit& unit, uint32_t first, uint32_t last);

// The text [begin, end) with the edits that lie in it, without line markers.
std::string edited(const ParsedUnit& unit, uint32_t begin, uint32_t end, const std::vector<TextEdit>& edits);

}  // namespace kpatch
