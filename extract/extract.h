// Livepatch source out of kernel source: some functions of a C file, and no more of its text than they need.
//
// The text is what the kernel's own compiler made of the file (gcc -E): no header is read, no macro is expanded, and
// what is written is the author's text with macros expanded. It is the only part that links libclang.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "extract/preprocess.h"
#include "support/finding.h"

namespace kpatch {

// A function or variable that the text defines, and somebody asks what shall become of it.
struct Subject {
  enum class Kind : uint8_t { function, variable };
  Kind kind = Kind::function;
  std::string name;              // in C
  std::string symbol;            // as the assembler has it: the name, unless an asm label says another
  std::string function;          // a static variable of a function: that function
  unsigned occurrence = 0;       // … and how many of the same name stand in it before this one
  bool internal = false;         // static
  bool scalar_constant = false;  // const, and neither struct nor array: only its value counts
  bool writable = false;         // a variable that isn't const
  Location location{};
};

// What becomes of it: its text is copied, or it is declared, so that references mean the one that is there.
struct Treatment {
  bool copy = true;
  std::string label{};  // the assembler's name of it; empty: the one that it has
  bool as_static =
      false;  // a copied function that others see becomes static, where its attributes allow that: else label
};

struct ExtractRequest {
  std::set<std::string> functions;  // that are wanted; always copied
  std::function<Treatment(const Subject&)> decide;
  std::function<void(const Subject&)> on_wanted{};  // may be empty; called for each of `functions`
  std::string heading;                              // a comment at the top; may have several lines
  bool whole_types = false;    // every struct that is named is written in full, also where its name would do
  std::string alias_prefix{};  // not empty: each wanted function f has a global name PREFIXf as well
};

struct Extraction {
  std::string text;  // empty when something was refused
  std::vector<Finding> findings;
  std::vector<std::string> copied;    // functions and variables whose text was copied, sorted
  std::vector<std::string> declared;  // those that the text defines and that were declared instead, sorted
};

// What differs between two texts of a unit; each list sorted by name.
struct UnitChanges {
  std::vector<Subject> functions;      // of both, with another text
  std::vector<Subject> new_functions;  // of the second text alone
  std::vector<Subject> gone_functions;
  std::vector<Subject> new_variables;
  std::vector<Subject> variables;  // of both, with another type or initial value
  std::vector<Location> others;    // what is neither and is new or different: types, assembly, exports
};

class SourceUnit {
 public:
  // text: preprocessed, with line markers. arguments: of the compiler; of them counts what changes how C is read.
  // roots: folders whose paths are left out of file names. Throws Error when libclang can't be had.
  SourceUnit(std::string text, std::span<const std::string> arguments, std::vector<std::string> roots);
  SourceUnit(SourceUnit&&) noexcept;
  SourceUnit& operator=(SourceUnit&&) noexcept;
  ~SourceUnit();

  std::vector<Subject> functions() const;  // that have a body, in the order of the text
  bool variadic(std::string_view function) const;
  // Errors of libclang: what it can't read, and where. They matter where an extraction needs that text.
  std::vector<Finding> unread() const;

  Extraction extract(const ExtractRequest& request) const;
  static UnitChanges changes(const SourceUnit& original, const SourceUnit& patched);

 private:
  std::unique_ptr<class ParsedUnit> parsed_;
};

}  // namespace kpatch
