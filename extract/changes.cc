// What a patch changes in a unit, told from its two texts
//
//     static int a = 1;                         static int a = 2;      a variable's initial value
//     int f(void) { return a; }                 int f(void) { return a + g(); }        a function
//                                               static int g(void) { return 1; }       a new one
//                                               module_init(start);    something else: it would run when a kernel starts
//
// Declarations are compared token by token, so that white space and lines say nothing; what a macro made of __COUNTER__
// is a number that follows all uses before it, and is left out. Types, prototypes and assembly have no one name to be
// compared by: what of them is in the second text and wasn't in the first counts as new.
#include <algorithm>
#include <map>
#include <set>

#include "extract/extract.h"
#include "extract/parsed-unit.h"
#include "extract/subject.h"

namespace kpatch {
namespace {

using std::string;
using std::string_view;

// What macros make of __COUNTER__: names, and names within string literals, where an argument is spelled out.
//
//     __UNIQUE_ID_x_473    "max(a, ({ … __compiletime_assert_474 … }))"    __initcall__kmod_reboot__475_1348_start6
bool counted(string_view word) {
  for (const string_view mark : {"__UNIQUE_ID_", "__compiletime_assert_", "_addressable_", "__initcall_"})
    if (word.find(mark) != string_view::npos) return true;
  return false;
}

string without_numbers(string_view word) {
  string plain;
  for (const char c : word) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit) plain += c;
    if (digit && !plain.ends_with('#')) plain += '#';
  }
  return plain;
}

string tokens_of(const ParsedUnit& unit, const SourceChunk& chunk) {
  string text;
  for (uint32_t i = chunk.first; i < chunk.last; ++i) {
    const string_view word = unit.text_of(unit.tokens()[i]);
    text += counted(word) ? without_numbers(word) : string(word);
    text += ' ';
  }
  return text;
}

// By name: the text of what defines it.
struct Texts {
  std::map<string, string> functions, variables;
  std::multimap<string, uint32_t> others;  // text, and where it stands
};

Texts texts_of(const ParsedUnit& unit) {
  Texts texts;
  for (const SourceChunk& chunk : unit.chunks()) {
    const string tokens = tokens_of(unit, chunk);
    bool defines = false;
    // Types, prototypes and assertions act where they are used.
    const bool acts = std::ranges::none_of(chunk.cursors, [](const CXCursor& cursor) {
      return clang_isDeclaration(cursor.kind) != 0 && cursor.kind != CXCursor_UnexposedDecl;
    });
    for (const CXCursor& cursor : chunk.cursors) {
      const string name = taken(clang_getCursorSpelling(cursor));
      if (cursor.kind == CXCursor_FunctionDecl && clang_isCursorDefinition(cursor) != 0) {
        texts.functions[name] = tokens;
        defines = true;
      } else if (cursor.kind == CXCursor_VarDecl && clang_Cursor_getStorageClass(cursor) != CX_SC_Extern &&
                 !counted(name)) {
        texts.variables[name] += tokens;
        defines = true;
      }
    }
    if (!defines && acts && tokens != "; ") texts.others.emplace(tokens, chunk.begin);
  }
  return texts;
}

Subject named(const ParsedUnit& unit, const string& name) { return subject_of_entity(unit, name, *unit.entity(name)); }

}  // namespace

UnitChanges changes_between(const ParsedUnit& original, const ParsedUnit& patched) {
  const Texts before = texts_of(original), after = texts_of(patched);
  UnitChanges changes;
  for (const auto& [name, text] : after.functions) {
    const auto old = before.functions.find(name);
    if (old == before.functions.end())
      changes.new_functions.push_back(named(patched, name));
    else if (old->second != text)
      changes.functions.push_back(named(patched, name));
  }
  for (const auto& [name, text] : before.functions)
    if (!after.functions.contains(name)) changes.gone_functions.push_back(named(original, name));
  for (const auto& [name, text] : after.variables) {
    const auto old = before.variables.find(name);
    if (old == before.variables.end())
      changes.new_variables.push_back(named(patched, name));
    else if (old->second != text)
      changes.variables.push_back(named(patched, name));
  }
  for (auto at = after.others.begin(); at != after.others.end(); ++at)
    if (!before.others.contains(at->first)) changes.others.push_back(patched.location_of(at->second));
  std::ranges::sort(changes.others);
  return changes;
}

}  // namespace kpatch
