// A definition's text as a declaration
//
//     static int total[] __attribute__((__section__(".data..x"))) = { 1, 2 }, *last = &total[1];
//     extern int total[2] asm("total.4") __attribute__((__section__(".data..x"))), *last;
//
// A declaration's words stay the author's: what changes are a few tokens outside of all brackets. `static` and `inline`
// go, `extern` comes, what stands between `=` and the next comma goes, an array whose size only its value told gets the
// number from libclang. gcc takes an assembler's name between the declarator and its attributes.
#include "extract/declaration.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

namespace kpatch {
namespace {

using std::string_view;

bool attribute_word(string_view word) { return word == "__attribute__" || word == "__attribute"; }

// Behind the brackets that begin at token i.
uint32_t behind_group(const ParsedUnit& unit, uint32_t i, uint32_t last) {
  int depth = 0;
  for (; i < last; ++i) {
    const string_view word = unit.text_of(unit.tokens()[i]);
    if (word == "(") ++depth;
    if (word == ")" && --depth == 0) return i + 1;
  }
  return last;
}

string_view plain_word(string_view word) {
  while (word.starts_with("__")) word.remove_prefix(2);
  while (word.ends_with("__")) word.remove_suffix(2);
  return word;
}

bool defines_alias(string_view word) {
  word = plain_word(word);
  return word == "alias" || word == "ifunc" || word == "weakref";
}

// Attributes that make a definition of a declaration, or that a declaration elsewhere can't have.
bool defines_something(string_view word) {
  static const std::set<string_view> words = {
      "alias", "ifunc", "weakref", "constructor", "destructor", "gnu_inline",        "always_inline",
      "weak",  "used",  "retain",  "no_reorder",  "noinline",   "externally_visible"};
  return words.contains(plain_word(word));
}

bool has_word(const ParsedUnit& unit, uint32_t first, uint32_t last, bool (*wanted)(string_view)) {
  for (uint32_t i = first; i < last; ++i)
    if (wanted(unit.text_of(unit.tokens()[i]))) return true;
  return false;
}

bool drops_attribute(const ParsedUnit& unit, uint32_t first, uint32_t last) {
  return has_word(unit, first, last, defines_something);
}

bool linkage_word(string_view word) {
  return word == "static" || word == "inline" || word == "__inline" || word == "__inline__";
}

// With the blanks behind: so that the text of an extraction comes out of another one as it is.
void remove(std::vector<TextEdit>& edits, const ParsedUnit& unit, uint32_t first, uint32_t last) {
  uint32_t end = unit.tokens()[last - 1].end;
  while (end < unit.text().size() && unit.text()[end] == ' ') ++end;
  edits.push_back({unit.tokens()[first].begin, end, {}});
}

}  // namespace

std::vector<TextEdit> as_extern_variables(const ParsedUnit& unit, uint32_t first, uint32_t last,
                                          const std::map<uint32_t, DeclaredName>& names) {
  const auto& tokens = unit.tokens();
  std::vector<TextEdit> edits;
  const DeclaredName* current = nullptr;
  const auto label = [&](uint32_t before) {
    if (current != nullptr && !current->label.empty())
      edits.push_back({tokens[before - 1].end, tokens[before - 1].end, fmt::format(" asm(\"{}\")", current->label)});
    current = nullptr;
  };
  bool is_extern = false;
  int depth = 0;
  for (uint32_t i = first; i < last; ++i) {
    const string_view word = unit.text_of(tokens[i]);
    if (depth == 0 && linkage_word(word)) remove(edits, unit, i, i + 1);
    if (depth == 0 && word == "extern") is_extern = true;
    if (depth == 0 && attribute_word(word)) {
      const uint32_t behind = behind_group(unit, i, last);
      label(i);
      if (drops_attribute(unit, i, behind)) remove(edits, unit, i, behind);
      i = behind - 1;
      continue;
    }
    if (depth == 0 && (word == "=" || word == "," || word == ";")) label(i);
    if (depth == 0 && word == "=") {
      uint32_t end = i;
      for (int inner = 0; end < last; ++end) {
        const string_view next = unit.text_of(tokens[end]);
        if (next == "(" || next == "[" || next == "{") ++inner;
        if (next == ")" || next == "]" || next == "}") --inner;
        if (inner == 0 && (next == "," || next == ";")) break;
      }
      edits.push_back({tokens[i - 1].end, tokens[end - 1].end, {}});
      i = end - 1;
      continue;
    }
    if (word == "(" || word == "[" || word == "{") ++depth;
    if (word == ")" || word == "]" || word == "}") --depth;
    const auto name = names.find(tokens[i].begin);
    if (name == names.end()) continue;
    current = &name->second;
    if (!current->name.empty()) edits.push_back({tokens[i].begin, tokens[i].end, current->name});
    const bool open_array = i + 2 < last && unit.text_of(tokens[i + 1]) == "[" && unit.text_of(tokens[i + 2]) == "]";
    if (open_array && current->elements >= 0)
      edits.push_back({tokens[i + 2].begin, tokens[i + 2].begin, fmt::format("{}", current->elements)});
  }
  if (!is_extern) edits.push_back({tokens[first].begin, tokens[first].begin, "extern "});
  return edits;
}

std::string prototype_of(const ParsedUnit& unit, uint32_t first, uint32_t brace) {
  const auto& tokens = unit.tokens();
  std::vector<TextEdit> edits;
  bool is_extern = false;
  int depth = 0;
  for (uint32_t i = first; i < brace; ++i) {
    const string_view word = unit.text_of(tokens[i]);
    if (depth == 0 && linkage_word(word)) remove(edits, unit, i, i + 1);
    if (depth == 0 && word == "extern") is_extern = true;
    if (depth == 0 && attribute_word(word)) {
      const uint32_t behind = behind_group(unit, i, brace);
      if (drops_attribute(unit, i, behind)) remove(edits, unit, i, behind);
      i = behind - 1;
      continue;
    }
    if (word == "(" || word == "[" || word == "{") ++depth;
    if (word == ")" || word == "]" || word == "}") --depth;
  }
  std::string text = edited(unit, tokens[first].begin, tokens[brace - 1].end, edits) + ";";
  text.erase(0, std::min(text.find_first_not_of(" \n"), text.size()));
  return is_extern ? text : "extern " + text;
}

std::vector<TextEdit> without_aliases(const ParsedUnit& unit, uint32_t first, uint32_t last) {
  std::vector<TextEdit> edits;
  for (uint32_t i = first; i < last; ++i) {
    if (!attribute_word(unit.text_of(unit.tokens()[i]))) continue;
    const uint32_t behind = behind_group(unit, i, last);
    if (has_word(unit, i, behind, defines_alias)) remove(edits, unit, i, behind);
    i = behind - 1;
  }
  return edits;
}

bool can_be_static(const ParsedUnit& unit, uint32_t first, uint32_t last) {
  if (unit.text_of(unit.tokens()[first]) == "__extension__") return false;
  for (uint32_t i = first; i < last; ++i) {
    const string_view word = unit.text_of(unit.tokens()[i]);
    if (word == "{") break;
    if (word == "asm" || word == "__asm__" || plain_word(word) == "weak" || defines_alias(word)) return false;
  }
  return true;
}

std::vector<TextEdit> as_static(const ParsedUnit& unit, uint32_t first, uint32_t last) {
  const auto& tokens = unit.tokens();
  std::vector<TextEdit> edits = {{tokens[first].begin, tokens[first].begin, "static "}};
  for (uint32_t i = first; i < last; ++i) {
    const string_view word = unit.text_of(tokens[i]);
    if (word == "(" || word == "{") break;
    if (word == "extern") remove(edits, unit, i, i + 1);
  }
  return edits;
}

std::string edited(const ParsedUnit& unit, uint32_t begin, uint32_t end, const std::vector<TextEdit>& edits) {
  std::vector<const TextEdit*> inside;
  for (const TextEdit& edit : edits)
    if (edit.begin >= begin && edit.end <= end) inside.push_back(&edit);
  // What is put in stands before what is taken out at the same place.
  std::ranges::stable_sort(inside, {}, [](const TextEdit* edit) { return std::pair(edit->begin, edit->end); });
  std::string raw;
  uint32_t at = begin;
  for (const TextEdit* edit : inside) {
    if (edit->begin < at) {  // in what is gone already
      if (edit->text.empty()) at = std::max(at, edit->end);
      continue;
    }
    raw.append(unit.text(), at, edit->begin - at);
    raw += edit->text;
    at = edit->end;
  }
  raw.append(unit.text(), at, end - at);
  std::string text;
  bool blank = false;  // several blank lines are one
  for (size_t line = 0; line < raw.size();) {
    const size_t next = std::min(raw.find('\n', line), raw.size() - 1) + 1;
    const string_view whole = string_view(raw).substr(line, next - line);
    line = next;
    const bool marker = whole.size() > 2 && whole[0] == '#' && whole[1] == ' ' && whole[2] >= '0' && whole[2] <= '9';
    const bool empty = whole.find_first_not_of(" \t\n") == string_view::npos;
    if (marker || (empty && (blank || text.empty()))) continue;
    blank = empty;
    text += empty ? "\n" : whole;
  }
  return text;
}

}  // namespace kpatch
