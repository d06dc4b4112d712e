// A text of C as the preprocessor and the compiler take it: directives, and declarations at file scope.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

// Tokens of C, without comments. Text that doesn't end as it should ends with the file.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) {}

  struct Token {
    std::string_view text;     // empty at the end
    bool begins_line = false;  // of those that backslashes join
  };
  Token next();

 private:
  void skip_blanks();
  void drop_line();
  size_t length() const;

  std::string_view rest_;
  bool at_start_ = true;
};

enum class ItemKind : uint8_t { define, conditional, include, prototype, inline_function, enumeration, other };

// A directive, or a declaration at file scope.
struct Item {
  ItemKind kind = ItemKind::other;             // of a declaration: once it is classified
  std::span<const std::string_view> tokens;    // of its text
  std::vector<std::string_view> names;         // what it declares, where the kind has names; once it is classified
  std::shared_ptr<const std::string> context;  // the conditions around it; none: null
  bool unknown = false;                        // around a directive, or braces don't match: of no known kind
  bool classified = false;
};

// Finds out the kind and the names of a declaration, which most of those that ask for a text's items don't need.
void classify(Item& item);

// Same text, same conditions around it.
bool same_text(const Item& a, const Item& b);

// The items of a text, which must outlive them.
struct Items {
  std::vector<std::string_view> tokens;  // of all; directives that tell the numbers of lines are left out
  std::vector<Item> list;
};
Items items_of(std::string_view text);

bool starts_word(char c);
bool continues_word(char c);
bool is_one_of(std::string_view token, std::initializer_list<std::string_view> list);

}  // namespace kpatch
