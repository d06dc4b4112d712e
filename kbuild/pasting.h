// Names that the preprocessor makes of parts: a ## b.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kbuild/declarations.h"

namespace kpatch {

// A #define, read. What it names lives as long as the item's text.
struct MacroText {
  std::string_view name;
  bool has_parameters = false;
  std::set<std::string_view> parameters;
  std::span<const std::string_view> body;
};
MacroText macro_of(const Item& define);

// One operand of a ##.
struct PastedPart {
  enum class Kind : uint8_t {
    word,    // as it stands there
    given,   // a parameter: whoever uses the macro says it
    unknown  // a call or an expression
  };
  Kind kind = Kind::word;
  std::string_view word;
};

// Operands that become one token, and the tokens [begin, end) that say so.
struct PastedChain {
  std::vector<PastedPart> parts;  // two or more
  size_t begin = 0;
  size_t end = 0;
};

using IsJoiner = std::function<bool(std::string_view)>;

// All of these, also parts of others. is_joiner: whether a macro of that name does nothing but join what it is given, in
// that order: "__PASTE(net_, x)" counts as "net_ ## x".
std::vector<PastedChain> chains_of(std::span<const std::string_view> tokens,
                                   const std::set<std::string_view>& parameters, const IsJoiner& is_joiner);

// Whether the macro does nothing else.
bool joins_what_it_is_given(const MacroText& macro, const IsJoiner& is_joiner);

// What must be given to a macro, for it to make a name.
struct GivenWords {
  bool nothing = false;         // it can make one without that
  std::set<std::string> words;  // else: one of these, at least
};

// Adds what `chain` wants to make `name`; a chain without words of its own, which could make any, adds nothing.
void add_given_words(const PastedChain& chain, std::string_view name, GivenWords& given);

}  // namespace kpatch
