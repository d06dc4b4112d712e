#include "kbuild/declarations.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kpatch {
namespace {

using std::string_view;

constexpr uint8_t begins = 1, continues = 2, blank = 4;
constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> classes{};
  for (const char c : string_view(" \t\r\f\v")) classes[static_cast<uint8_t>(c)] = blank;
  for (int c = '0'; c <= '9'; ++c) classes[static_cast<size_t>(c)] = continues;
  for (int c = 'a'; c <= 'z'; ++c) classes[static_cast<size_t>(c)] = begins | continues;
  for (int c = 'A'; c <= 'Z'; ++c) classes[static_cast<size_t>(c)] = begins | continues;
  classes['_'] = begins | continues;
  return classes;
}
constexpr std::array<uint8_t, 256> classes = make_classes();

bool is(char c, uint8_t what) { return (classes[static_cast<uint8_t>(c)] & what) != 0; }

// Attributes with arguments, which look like the name of a function.
bool is_attribute(string_view token) {
  return is_one_of(
      token, {"__attribute__", "__printf", "__scanf", "__acquires", "__releases", "__must_hold", "__cond_acquires",
              "__cond_releases", "__aligned", "__section", "__nonnull", "__alloc_size", "__realloc_size",
              "__assume_aligned", "__no_sanitize", "__typeof__", "typeof", "__aligned__", "__format_arg"});
}

// At depth 0: each word with a parenthesis behind it.
std::vector<string_view> called_names(std::span<const string_view> tokens, size_t end) {
  std::vector<string_view> names;
  int depth = 0;
  for (size_t i = 0; i < end; ++i) {
    if (is_one_of(tokens[i], {"(", "[", "{"})) {
      const bool word = i > 0 && depth == 0 && tokens[i] == "(" && starts_word(tokens[i - 1].front());
      if (word && !is_attribute(tokens[i - 1])) names.push_back(tokens[i - 1]);
      ++depth;
    } else if (is_one_of(tokens[i], {")", "]", "}"})) {
      --depth;
    }
  }
  return names;
}

void classify_function(Item& item, size_t body) {
  item.names = called_names(item.tokens, body);
  const auto head = item.tokens.first(body);
  const auto has = [&](std::initializer_list<string_view> list) {
    return std::any_of(head.begin(), head.end(), [&](string_view token) { return is_one_of(token, list); });
  };
  // Code that is there only where it is used: inline, of this file alone, and not kept by force.
  bool kept = has({"__used", "__used__"});
  for (size_t i = 1; i < head.size(); ++i) kept |= head[i] == "used" && is_one_of(head[i - 1], {"(", ","});
  kept |= has({"constructor", "__constructor__", "destructor", "__destructor__"});
  const bool is_inline =
      has({"inline", "__inline", "__inline__", "__always_inline"}) && has({"static", "extern"}) && !kept;
  // DEFINE_X(name) in front of it: what that declares nobody can tell.
  const bool behind_macro = head.size() > 1 && starts_word(head[0].front()) && head[1] == "(" && !is_attribute(head[0]);
  if (is_inline && !behind_macro && !item.names.empty()) item.kind = ItemKind::inline_function;
}

// Values that can't make the type another one: numbers that an int holds, and other enumerators.
bool is_plain_value(string_view token) {
  if (starts_word(token.front())) return true;
  if (token.front() < '0' || token.front() > '9') return is_one_of(token, {"-", "+", "(", ")"});
  return token.starts_with("0x") ? token.size() <= 9 : token.size() <= 9;
}

void classify_enumeration(Item& item) {
  const auto open = std::find(item.tokens.begin(), item.tokens.end(), "{");
  if (std::find(item.tokens.begin(), open, "(") != open || item.tokens.back() != ";") return;
  const auto close = std::find(open, item.tokens.end(), "}");
  // enum { … } variable; is more than constants
  if (close == item.tokens.end() || close + 2 != item.tokens.end()) return;
  std::vector<string_view> names;
  for (auto token = open + 1; token != close;) {
    if (!starts_word(token->front())) return;
    names.push_back(*token++);
    if (token != close && *token == "=") {
      for (++token; token != close && *token != ","; ++token)
        if (!is_plain_value(*token)) return;
    }
    if (token == close) break;
    if (*token != ",") return;
    ++token;
  }
  item.names = std::move(names);
  item.kind = ItemKind::enumeration;
}

// What is declared and not defined: functions, extern variables, the name of a struct.
void classify_prototype(Item& item) {
  const std::span<const string_view> tokens = item.tokens;
  const string_view first = tokens.front();
  const bool macro = tokens.size() > 1 && tokens[1] == "(" && !is_attribute(first);
  const bool known = !is_one_of(first, {"typedef", "asm", "__asm__", "_Static_assert", "static_assert"});
  if (!known || macro || !starts_word(first.front())) return;
  item.names = called_names(tokens, tokens.size());
  // int (*p)(int); is a variable.
  const bool function = std::none_of(item.names.begin(), item.names.end(), [](string_view name) {
    return is_one_of(name, {"int", "void", "char", "long", "short", "unsigned", "signed", "bool", "const"});
  });
  if (!function) return;
  const bool is_extern = std::find(tokens.begin(), tokens.end(), "extern") != tokens.end();
  const bool forward = tokens.size() == 3 && is_one_of(first, {"struct", "union"});
  if (!is_extern && !forward) {
    // int x, f(int); defines one of them.
    int depth = 0;
    for (const string_view token : tokens) {
      depth += is_one_of(token, {"(", "["}) ? 1 : is_one_of(token, {")", "]"}) ? -1 : 0;
      if (depth == 0 && token == ",") return;
    }
    if (item.names.empty()) return;
  }
  if (item.names.empty() || is_extern) {
    for (size_t i = 1; i < tokens.size(); ++i)
      if (is_one_of(tokens[i], {";", ",", "["}) && starts_word(tokens[i - 1].front()))
        item.names.push_back(tokens[i - 1]);
  }
  if (!item.names.empty()) item.kind = ItemKind::prototype;
}

void classify_declaration(Item& item) {
  const auto at = [&](string_view token) {
    return static_cast<size_t>(std::find(item.tokens.begin(), item.tokens.end(), token) - item.tokens.begin());
  };
  const size_t brace = at("{");
  if (item.tokens.back() == "}" && brace > 0 && brace < item.tokens.size()) return classify_function(item, brace);
  if (item.tokens.back() != ";") return;
  if (brace == item.tokens.size()) {
    if (at("=") == item.tokens.size()) classify_prototype(item);
    return;
  }
  if (item.tokens.front() == "enum") classify_enumeration(item);
}

bool is_conditional(string_view word) {
  return is_one_of(word, {"if", "ifdef", "ifndef", "elif", "elifdef", "elifndef", "else", "endif"});
}

void classify_directive(Item& item) {
  const string_view word = item.tokens.size() > 1 ? item.tokens[1] : string_view();
  if (is_one_of(word, {"define", "undef"}) && item.tokens.size() > 2) {
    item.kind = ItemKind::define;
    item.names = {item.tokens[2]};
  } else if (is_conditional(word)) {
    item.kind = ItemKind::conditional;
  } else if (is_one_of(word, {"include", "include_next", "import"})) {
    item.kind = ItemKind::include;
  }
}

// Splits a text into items.
class Splitter {
 public:
  explicit Splitter(string_view text) : lexer_(text) { tokens_.reserve(text.size() / 5); }

  Items run() {
    token_ = lexer_.next();
    while (!token_.text.empty()) {
      if (token_.begins_line && token_.text == "#")
        read_directive();
      else
        read_token();
    }
    if (tokens_.size() > begin_) end(true);
    Items items{std::move(tokens_), std::move(list_)};
    // The tokens lie where they stay only now.
    for (size_t i = 0; i < items.list.size(); ++i)
      items.list[i].tokens = std::span(items.tokens).subspan(places_[i].first, places_[i].second - places_[i].first);
    for (Item& item : items.list)
      if (item.classified) classify_directive(item);
    return items;
  }

 private:
  void read_directive() {
    const size_t first = tokens_.size();
    do {
      tokens_.push_back(token_.text);
      token_ = lexer_.next();
    } while (!token_.text.empty() && !token_.begins_line);
    const auto tokens = std::span<const string_view>(tokens_).subspan(first);
    const string_view word = tokens.size() > 1 ? tokens[1] : string_view();
    if (word == "line") return tokens_.resize(first);  // numbers of lines, see line-marks.h
    const bool conditional = is_conditional(word);
    if (first > begin_) {
      // Within a declaration: part of it.
      if (!conditional) unknown_ = true;
      return;
    }
    if (conditional) change_context(tokens);
    Item& directive = list_.emplace_back();
    directive.context = context();
    directive.classified = true;  // at the end
    places_.emplace_back(first, tokens_.size());
    begin_ = tokens_.size();
  }

  void change_context(std::span<const string_view> directive) {
    std::string text;
    for (const string_view token : directive) text.append(token).append(" ");
    const string_view word = directive[1];
    context_ = nullptr;
    if (word.starts_with("if")) {
      conditions_.push_back(std::move(text));
    } else if (!conditions_.empty()) {
      if (word == "endif")
        conditions_.pop_back();
      else
        conditions_.back() += text;
    }
  }

  const std::shared_ptr<const std::string>& context() {
    if (context_ == nullptr && !conditions_.empty()) {
      std::string all;
      for (const std::string& condition : conditions_) all.append(condition).append("\n");
      context_ = std::make_shared<const std::string>(std::move(all));
    }
    return context_;
  }

  void read_token() {
    const string_view token = token_.text;
    if (tokens_.size() == begin_) begin_context_ = context();
    tokens_.push_back(token);
    token_ = lexer_.next();
    if (token.size() > 1) return;
    switch (token.front()) {
      case '{':
        if (depth_ == 0) body_ = tokens_.size() - begin_ > 1 && *(tokens_.end() - 2) == ")";
        [[fallthrough]];
      case '(':
      case '[':
        ++depth_;
        break;
      case '}':
      case ')':
      case ']':
        if (--depth_ < 0) depth_ = 0, unknown_ = true;
        if (depth_ == 0 && token == "}" && function_body()) end(unknown_);
        break;
      case ';':
        if (depth_ == 0) end(unknown_);
        break;
      default:
        break;
    }
  }

  // "= {" and "struct x {" end with a semicolon; a function ends here, whatever attributes stand before its body.
  bool function_body() const {
    if (body_) return true;
    const auto first = tokens_.begin() + static_cast<std::ptrdiff_t>(begin_);
    const auto brace = std::find(first, tokens_.end(), "{");
    const auto has = [&](string_view t) { return std::find(first, brace, t) != brace; };
    return has("(") && !has("=") && !has("struct") && !has("union") && !has("enum");
  }

  void end(bool unknown) {
    Item& item = list_.emplace_back();
    item.context = std::move(begin_context_);
    item.unknown = unknown;
    places_.emplace_back(begin_, tokens_.size());
    begin_ = tokens_.size();
    depth_ = 0;
    unknown_ = body_ = false;
  }

  Lexer lexer_;
  Lexer::Token token_;
  std::vector<string_view> tokens_;
  std::vector<Item> list_;
  std::vector<std::pair<size_t, size_t>> places_;  // of each item's tokens
  std::vector<std::string> conditions_;
  std::shared_ptr<const std::string> context_, begin_context_;
  size_t begin_ = 0;  // of the tokens of the declaration that is being read
  int depth_ = 0;
  bool unknown_ = false;
  bool body_ = false;
};

}  // namespace

bool starts_word(char c) { return is(c, begins); }
bool continues_word(char c) { return is(c, continues); }

bool is_one_of(string_view token, std::initializer_list<string_view> list) {
  return std::find(list.begin(), list.end(), token) != list.end();
}

Lexer::Token Lexer::next() {
  bool begins_line = at_start_;
  while (!rest_.empty()) {
    const char c = rest_.front();
    if (is(c, begins)) break;
    if (c == '\n') {
      begins_line = true;
      rest_.remove_prefix(1);
    } else if (is(c, blank)) {
      rest_.remove_prefix(1);
    } else if (c == '\\' && rest_.starts_with("\\\n")) {
      rest_.remove_prefix(2);
    } else if (c == '\\' && rest_.starts_with("\\\r\n")) {
      rest_.remove_prefix(3);
    } else if (c == '/' && rest_.starts_with("//")) {
      drop_line();
    } else if (c == '/' && rest_.starts_with("/*")) {
      const size_t end = rest_.find("*/", 2);
      rest_.remove_prefix(end == string_view::npos ? rest_.size() : end + 2);
    } else {
      break;
    }
  }
  at_start_ = false;
  const string_view token = rest_.substr(0, length());
  rest_.remove_prefix(token.size());
  return {token, begins_line};
}

void Lexer::drop_line() {
  for (size_t end = rest_.find('\n');; end = rest_.find('\n', end + 1)) {
    if (end == string_view::npos) return rest_.remove_prefix(rest_.size());
    if (end > 0 && rest_[end - 1] == '\\') continue;
    return rest_.remove_prefix(end);
  }
}

size_t Lexer::length() const {
  if (rest_.empty()) return 0;
  const char c = rest_.front();
  if (is(c, continues)) {
    size_t end = 1;
    while (end < rest_.size() && is(rest_[end], continues)) ++end;
    return end;
  }
  if (c == '"' || c == '\'') {
    for (size_t end = 1; end < rest_.size(); ++end) {
      if (rest_[end] == '\\')
        ++end;
      else if (rest_[end] == c || rest_[end] == '\n')
        return rest_[end] == c ? end + 1 : end;
    }
    return rest_.size();
  }
  return rest_.starts_with("##") ? 2 : 1;
}

void classify(Item& item) {
  if (std::exchange(item.classified, true) || item.unknown) return;
  classify_declaration(item);
}

bool same_text(const Item& a, const Item& b) {
  if (!std::ranges::equal(a.tokens, b.tokens)) return false;
  if (a.context == b.context) return true;
  return a.context != nullptr && b.context != nullptr && *a.context == *b.context;
}

Items items_of(string_view text) { return Splitter(text).run(); }

}  // namespace kpatch
