// From a changed declaration to the units that use it
//
// 9,000 units include <linux/skbuff.h>, and 40 use skb_queue_empty(). A declaration that a unit's text never mentions
// can't change its code, so the headers are read as sequences of declarations, and names are followed instead of files:
//
//     static inline bool skb_queue_empty(…) { … }        changes: its name is looked for
//     static inline bool skb_queue_is_idle(…)            another header's, mentions it: looked for as well
//     #define wait_for_queue(q) … skb_queue_empty(q) …   and so are macros
//     net/unix/af_unix.c                                 a unit mentions one of them: it may differ
//
// Names are followed only through what does nothing where it isn't used: inline functions, macros, prototypes,
// enumerators. Everything else makes a file of which all includers may differ, as if it were touched itself: a struct
// that mentions a name, a condition, a macro at file scope, code that isn't inline, what could not be understood.
// The same holds for what the patch changes: a struct, an include or a pragma is the whole header.
//
// The preprocessor can paste names together, of two parts. A text that holds both counts as mentioning the name, and so
// does one that gives the second part to a macro that has the first beside a ##.
#include "kbuild/mentions.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "support/files.h"
#include "support/signals.h"

namespace kpatch {
namespace {

using std::string_view;

bool starts_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool continues_word(char c) { return starts_word(c) || (c >= '0' && c <= '9'); }

enum class Kind : uint8_t { define, conditional, include, prototype, inline_function, enumeration, other };

// A directive, or a declaration at file scope.
struct Item {
  Kind kind = Kind::other;
  std::vector<string_view> tokens;  // of its text
  std::vector<string_view> names;   // what it declares, where the kind has names
  std::string context;              // the conditions around it
};

// Tokens of C, without comments. Text that doesn't end as it should ends with the file.
class Lexer {
 public:
  explicit Lexer(string_view text) : rest_(text) {}

  struct Token {
    string_view text;          // empty at the end
    bool begins_line = false;  // of those that backslashes join
  };

  Token next() {
    bool begins_line = at_start_;
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '\n') {
        begins_line = true;
        rest_.remove_prefix(1);
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
        rest_.remove_prefix(1);
      } else if (rest_.starts_with("\\\n")) {
        rest_.remove_prefix(2);
      } else if (rest_.starts_with("\\\r\n")) {
        rest_.remove_prefix(3);
      } else if (rest_.starts_with("//")) {
        drop_line();
      } else if (rest_.starts_with("/*")) {
        const size_t end = rest_.find("*/", 2);
        rest_.remove_prefix(end == string_view::npos ? rest_.size() : end + 2);
      } else {
        break;
      }
    }
    at_start_ = false;
    return {take(length()), begins_line};
  }

 private:
  void drop_line() {
    for (size_t end = rest_.find('\n');; end = rest_.find('\n', end + 1)) {
      if (end == string_view::npos) return rest_.remove_prefix(rest_.size());
      if (end > 0 && rest_[end - 1] == '\\') continue;
      return rest_.remove_prefix(end);
    }
  }

  size_t length() const {
    if (rest_.empty()) return 0;
    const char c = rest_.front();
    if (continues_word(c)) {
      size_t end = 1;
      while (end < rest_.size() && continues_word(rest_[end])) ++end;
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

  string_view take(size_t count) {
    const string_view token = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return token;
  }

  string_view rest_;
  bool at_start_ = true;
};

bool is_one_of(string_view token, std::initializer_list<string_view> list) {
  return std::find(list.begin(), list.end(), token) != list.end();
}

// Attributes with arguments, which look like the name of a function.
bool is_attribute(string_view token) {
  return is_one_of(
      token, {"__attribute__", "__printf", "__scanf", "__acquires", "__releases", "__must_hold", "__cond_acquires",
              "__cond_releases", "__aligned", "__section", "__nonnull", "__alloc_size", "__realloc_size",
              "__assume_aligned", "__no_sanitize", "__typeof__", "typeof", "__aligned__", "__format_arg"});
}

// At depth 0: each word with a parenthesis behind it.
std::vector<string_view> called_names(const std::vector<string_view>& tokens, size_t end) {
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
  const auto head = std::span(item.tokens).first(body);
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
  if (is_inline && !behind_macro && !item.names.empty()) item.kind = Kind::inline_function;
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
  item.kind = Kind::enumeration;
}

// What is declared and not defined: functions, extern variables, the name of a struct.
void classify_prototype(Item& item) {
  const std::vector<string_view>& tokens = item.tokens;
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
  if (!item.names.empty()) item.kind = Kind::prototype;
}

void classify(Item& item) {
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

void classify_directive(Item& item) {
  const string_view word = item.tokens.size() > 1 ? item.tokens[1] : string_view();
  if (is_one_of(word, {"define", "undef"}) && item.tokens.size() > 2) {
    item.kind = Kind::define;
    item.names = {item.tokens[2]};
  } else if (is_one_of(word, {"if", "ifdef", "ifndef", "elif", "elifdef", "elifndef", "else", "endif"})) {
    item.kind = Kind::conditional;
  } else if (is_one_of(word, {"include", "include_next", "import"})) {
    item.kind = Kind::include;
  }
}

// Splits a text into items. A declaration around a directive, or one whose braces don't match, is of no known kind.
class Splitter {
 public:
  explicit Splitter(string_view text) : lexer_(text) {}

  std::vector<Item> run() {
    token_ = lexer_.next();
    while (!token_.text.empty()) {
      if (token_.begins_line && token_.text == "#")
        read_directive();
      else
        read_token();
    }
    if (!current_.tokens.empty()) items_.push_back(std::move(current_));
    return std::move(items_);
  }

 private:
  void read_directive() {
    Item directive;
    do {
      directive.tokens.push_back(token_.text);
      token_ = lexer_.next();
    } while (!token_.text.empty() && !token_.begins_line);
    if (directive.tokens.size() > 1 && directive.tokens[1] == "line") return;  // numbers of lines, see line-marks.h
    classify_directive(directive);
    if (!current_.tokens.empty()) {
      // Within a declaration: part of it.
      current_.tokens.insert(current_.tokens.end(), directive.tokens.begin(), directive.tokens.end());
      if (directive.kind != Kind::conditional) unknown_ = true;
      return;
    }
    if (directive.kind == Kind::conditional) change_context(directive);
    directive.context = context();
    items_.push_back(std::move(directive));
  }

  void change_context(const Item& directive) {
    std::string text;
    for (const string_view token : directive.tokens) text.append(token).append(" ");
    const string_view word = directive.tokens[1];
    if (word.starts_with("if")) {
      conditions_.push_back(std::move(text));
    } else if (!conditions_.empty()) {
      if (word == "endif")
        conditions_.pop_back();
      else
        conditions_.back() += text;
    }
  }

  std::string context() const {
    std::string all;
    for (const std::string& condition : conditions_) all.append(condition).append("\n");
    return all;
  }

  void read_token() {
    const string_view token = token_.text;
    if (current_.tokens.empty()) current_.context = context();
    current_.tokens.push_back(token);
    token_ = lexer_.next();
    if (is_one_of(token, {"{", "(", "["})) {
      if (token == "{" && depth_ == 0) body_ = current_.tokens.size() > 1 && *(current_.tokens.end() - 2) == ")";
      ++depth_;
    } else if (is_one_of(token, {"}", ")", "]"})) {
      if (--depth_ < 0) depth_ = 0, unknown_ = true;
      if (depth_ == 0 && token == "}" && function_body()) end();
    } else if (token == ";" && depth_ == 0) {
      end();
    }
  }

  // "= {" and "struct x {" end with a semicolon; a function ends here, whatever attributes stand before its body.
  bool function_body() const {
    if (body_) return true;
    const auto brace = std::find(current_.tokens.begin(), current_.tokens.end(), "{");
    const auto has = [&](string_view t) { return std::find(current_.tokens.begin(), brace, t) != brace; };
    return has("(") && !has("=") && !has("struct") && !has("union") && !has("enum");
  }

  void end() {
    if (!unknown_) classify(current_);
    items_.push_back(std::move(current_));
    current_ = {};
    depth_ = 0;
    unknown_ = body_ = false;
  }

  Lexer lexer_;
  Lexer::Token token_;
  Item current_;
  std::vector<Item> items_;
  std::vector<std::string> conditions_;
  int depth_ = 0;
  bool unknown_ = false;
  bool body_ = false;
};

bool same(const Item& a, const Item& b) { return a.tokens == b.tokens && a.context == b.context; }

std::string text_of(const Item& item) {
  std::string text = item.context;
  for (const string_view token : item.tokens) text.append(1, '\0').append(token);
  return text;
}

// The names that are looked for, with the parts that make them.
class Names {
 public:
  bool add(string_view name) {
    const auto [it, fresh] = names_.emplace(name);
    if (!fresh) return false;
    note(*it);
    first_part_[*it] = next_part_;
    for (size_t seam = 1; seam < it->size(); ++seam) {
      parts_[it->substr(0, seam)].push_back(next_part_);
      parts_[it->substr(seam)].push_back(next_part_ + 1);
      note(string_view(*it).substr(0, seam));
      note(string_view(*it).substr(seam));
      next_part_ += 2;
    }
    return true;
  }

  // Not to be made of parts.
  bool add_whole(string_view name) {
    note(name);
    return names_.emplace(name).second;
  }

  // but: names of which a mention doesn't count, since the text declares them itself.
  bool mentioned(std::span<const string_view> tokens, std::span<const string_view> but = {}) const {
    std::unordered_set<uint32_t> seen;  // parts
    std::vector<const std::set<uint32_t>*> wanted;
    for (const string_view token : tokens) {
      if (!continues_word(token.front()) || !may_be(token)) continue;
      if (std::find(but.begin(), but.end(), token) != but.end()) continue;
      const std::string word(token);
      if (names_.contains(word)) return true;
      if (const auto macro = pasting_.find(word); macro != pasting_.end()) wanted.push_back(&macro->second);
      const auto part = parts_.find(word);
      if (part == parts_.end()) continue;
      for (const uint32_t number : part->second) {
        if (seen.contains(number ^ 1U)) return true;
        seen.insert(number);
      }
    }
    return std::any_of(wanted.begin(), wanted.end(), [&](const auto* parts) {
      return std::any_of(parts->begin(), parts->end(), [&](uint32_t part) { return seen.contains(part); });
    });
  }

  // A macro that pastes one part of a name to what its user gives, or that uses such a macro, makes the name where the
  // other part is given. Returns whether there is something new to look for.
  bool learn_pasting(const Item& macro) {
    const std::span<const string_view> tokens(macro.tokens);
    std::set<uint32_t> given;
    for (size_t i = 3; i < tokens.size(); ++i) {
      const bool before = i + 1 < tokens.size() && tokens[i + 1] == "##", behind = tokens[i - 1] == "##";
      if ((before || behind) && continues_word(tokens[i].front()) && !is_parameter(tokens, tokens[i]))
        find_given(tokens[i], before, behind, given);
      if (const auto known = pasting_.find(std::string(tokens[i])); known != pasting_.end())
        given.insert(known->second.begin(), known->second.end());
    }
    if (given.empty()) return false;
    std::set<uint32_t>& known = pasting_[std::string(macro.names.front())];
    const size_t size = known.size();
    known.insert(given.begin(), given.end());
    note(macro.names.front());
    return known.size() > size;
  }

  std::vector<std::string> all() const { return {names_.begin(), names_.end()}; }

 private:
  static bool is_parameter(std::span<const string_view> tokens, string_view word) {
    if (tokens.size() < 4 || tokens[3] != "(") return false;
    for (size_t i = 4; i < tokens.size() && tokens[i] != ")"; ++i)
      if (tokens[i] == word) return true;
    return false;
  }

  // The parts that must be given where a macro has `word` with something pasted before or behind it. Where that is
  // pasted on both sides, what stands before the word is one of them.
  void find_given(string_view word, bool before, bool behind, std::set<uint32_t>& given) const {
    for (const auto& [name, first] : first_part_) {
      for (size_t at = name.find(word); at != std::string::npos; at = name.find(word, at + 1)) {
        const size_t end = at + word.size();
        if (at > 0 && behind && (end == name.size() || before))
          given.insert(first + 2 * static_cast<uint32_t>(at - 1));
        else if (at == 0 && before && end < name.size())
          given.insert(first + 2 * static_cast<uint32_t>(end - 1) + 1);
      }
    }
  }

  // A quick no: by first letter and length.
  static size_t slot(string_view word) {
    return static_cast<unsigned char>(word.front()) * 64U + std::min<size_t>(word.size(), 63);
  }
  void note(string_view word) { may_be_[slot(word)] = true; }
  bool may_be(string_view word) const { return may_be_[slot(word)]; }

  std::set<std::string> names_;
  std::unordered_map<std::string, std::vector<uint32_t>> parts_;  // even: the left one, odd: the right one of a seam
  std::unordered_map<std::string, std::set<uint32_t>> pasting_;   // macros, and the parts that they must be given
  std::map<std::string, uint32_t> first_part_;                    // of a name; the left one of its first seam
  uint32_t next_part_ = 0;
  std::array<bool, 256 * 64> may_be_{};
};

// Without those of #include: the name of a file is no mention.
std::vector<string_view> tokens_of(string_view text) {
  std::vector<string_view> tokens;
  Lexer lexer(text);
  auto token = lexer.next();
  while (!token.text.empty()) {
    const bool directive = token.begins_line && token.text == "#";
    tokens.push_back(token.text);
    token = lexer.next();
    if (!directive || token.begins_line || !is_one_of(token.text, {"include", "include_next", "import"})) continue;
    do token = lexer.next();
    while (!token.text.empty() && !token.begins_line);
  }
  return tokens;
}

// #ifdef NAME asks whether it is defined, not what it is.
bool asks_for_definition(const Item& item) {
  return item.tokens.size() == 3 && is_one_of(item.tokens[1], {"ifdef", "ifndef"});
}

// Whether all includers of the file may differ; else the names that stand for what it mentions are added.
bool follow(const std::vector<Item>& items, Names& names, const Names& defined, bool& grew) {
  for (const Item& item : items) {
    switch (item.kind) {
      case Kind::define:
        // Its own name, and nothing else: another definition of it.
        if (names.mentioned(item.tokens, item.names)) grew |= names.add(item.names.front());
        grew |= names.learn_pasting(item);
        break;
      case Kind::inline_function:
        if (names.mentioned(item.tokens, item.names))
          for (const string_view name : item.names) grew |= names.add(name);
        break;
      case Kind::prototype:
        if (names.mentioned(item.tokens, item.names)) return true;
        break;
      case Kind::conditional:
        if (asks_for_definition(item) ? defined.mentioned(item.tokens) : names.mentioned(item.tokens)) return true;
        break;
      case Kind::enumeration:
        if (names.mentioned(item.tokens, item.names)) return true;
        break;
      case Kind::include:
        break;
      case Kind::other:
        if (names.mentioned(item.tokens)) return true;
        break;
    }
  }
  return false;
}

ChangedNames changes_between(const std::vector<Item>& original, const std::vector<Item>& patched) {
  // What both begin and end with, which is nearly all of it.
  const auto [a, b] = std::mismatch(original.begin(), original.end(), patched.begin(), patched.end(), same);
  const auto [c, d] = std::mismatch(original.rbegin(), std::make_reverse_iterator(a), patched.rbegin(),
                                    std::make_reverse_iterator(b), same);
  const std::array<std::span<const Item>, 2> sides = {std::span(a, c.base()), std::span(b, d.base())};
  std::map<std::string, std::array<size_t, 2>> counts;
  std::array<std::vector<std::pair<std::string, const Item*>>, 2> texts;
  for (size_t side = 0; side < 2; ++side)
    for (const Item& item : sides[side]) {
      if (item.kind == Kind::conditional) continue;  // part of what it is around
      texts[side].emplace_back(text_of(item), &item);
      ++counts[texts[side].back().first][side];
    }
  ChangedNames changed;
  std::array<std::vector<std::string>, 2> kept;
  std::set<std::string> names;
  std::array<std::set<std::string>, 2> macros;
  for (size_t side = 0; side < 2; ++side)
    for (const auto& [text, item] : texts[side]) {
      if (item->kind == Kind::define && item->tokens[1] == "define") macros[side].emplace(item->names.front());
      const auto& count = counts[text];
      if (count[0] == count[1]) {
        kept[side].push_back(text);
        continue;
      }
      const bool followed = item->kind == Kind::define || item->kind == Kind::inline_function ||
                            item->kind == Kind::prototype || item->kind == Kind::enumeration;
      if (!followed) changed.everything = true;
      names.insert(item->names.begin(), item->names.end());
    }
  // What only moved can mean something else where it is now.
  if (kept[0] != kept[1]) changed.everything = true;
  changed.names.assign(names.begin(), names.end());
  for (const std::string& name : changed.names)
    if (macros[0].contains(name) != macros[1].contains(name)) changed.defined.push_back(name);
  return changed;
}

}  // namespace

ChangedNames changed_names(string_view original, string_view patched) {
  return changes_between(Splitter(original).run(), Splitter(patched).run());
}

bool code_may_differ(string_view original, string_view patched) {
  const std::array<std::vector<Item>, 2> sides = {Splitter(original).run(), Splitter(patched).run()};
  const ChangedNames changed = changes_between(sides[0], sides[1]);
  if (changed.everything) return true;
  Names names;
  for (const std::string& name : changed.names) names.add_whole(name);
  for (bool grew = true; grew;) {
    grew = false;
    for (const std::vector<Item>& items : sides)
      for (const Item& item : items) {
        if (!names.mentioned(item.tokens, item.names)) continue;
        if (item.kind != Kind::inline_function) return true;
        for (const string_view name : item.names) grew |= names.add_whole(name);
      }
  }
  return false;
}

Mentions units_that_mention(const IncludeGraph& graph, std::span<const CompileCommand> units,
                            std::span<const HeaderChange> changes) {
  Names names, defined;
  std::set<std::string> whole;  // files of which every includer may differ
  for (const HeaderChange& change : changes) {
    const ChangedNames changed = changed_names(read_file_if_any(change.original), read_file_if_any(change.patched));
    if (changed.everything) whole.insert(change.path);
    for (const std::string& name : changed.names) names.add(name);
    for (const std::string& name : changed.defined) defined.add(name);
  }
  const std::vector<std::string> headers = graph.headers();
  for (bool grew = true; grew;) {
    grew = false;
    for (const std::string& header : headers) {
      if (whole.contains(header)) continue;
      check_interrupted();
      const std::string text = read_file_if_any(header);
      const std::vector<string_view> tokens = tokens_of(text);
      if (!names.mentioned(tokens) && std::find(tokens.begin(), tokens.end(), "##") == tokens.end()) continue;
      if (follow(Splitter(text).run(), names, defined, grew)) whole.insert(header);
    }
  }
  const std::vector<std::string> touched(whole.begin(), whole.end());
  const std::vector<size_t> includers = graph.units_that_may_include(touched);
  std::set<size_t> found(includers.begin(), includers.end());
  for (size_t unit = 0; unit < units.size(); ++unit) {
    if (found.contains(unit)) continue;
    check_interrupted();
    // -DMACRO=name
    for (const std::string& argument : units[unit].arguments)
      if (argument.starts_with("-D") && names.mentioned(tokens_of(string_view(argument).substr(2)))) found.insert(unit);
    for (const std::string& file : graph.own_files(unit)) {
      const std::string text = read_file_if_any(file);
      if (names.mentioned(tokens_of(text))) found.insert(unit);
    }
  }
  return {{found.begin(), found.end()}, names.all(), touched};
}

}  // namespace kpatch
