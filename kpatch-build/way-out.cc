// A refusal says what to do in a sentence. Here the sentence is written as C, as far as the text of a file allows:
//
//   static-key   if (static_branch_unlikely(&key))        if (static_key_enabled(&key))
//   data-init    - static int limit = 10;                 static int limit = 10;   … and a pre-patch callback with the new one
//                + static int limit = 20;
//   data-layout  + int added;  in a struct                the old struct, and klp_shadow_get_or_alloc() of the new members
//   no-ftrace    notrace void f(void) { fixed }           f() as it was, f_patched() { fixed }, and its callers call that
//
// Declarations are found by their tokens (declarations.h), and moved as they stand. Whether the result compiles is for the
// author to see: what was written for a member of the struct must become a use of the shadow variable, for one.
#include "kpatch-build/way-out.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "kbuild/kbuild.h"
#include "support/digest.h"
#include "support/text.h"

namespace kpatch {
namespace {

using std::string_view;

struct Extent {
  size_t begin = 0, end = 0;
};

Extent extent_of(const Item& item, string_view text) {
  const auto offset = [&](string_view token) { return static_cast<size_t>(token.data() - text.data()); };
  return {offset(item.tokens.front()), offset(item.tokens.back()) + item.tokens.back().size()};
}

size_t place(const Item& item, string_view token) {
  return static_cast<size_t>(std::ranges::find(item.tokens, token) - item.tokens.begin());
}

bool is_function(const Item& item) {
  return item.tokens.back() == "}" && place(item, "(") < place(item, "{") && place(item, "=") > place(item, "{");
}
bool defines_function(const Item& item, string_view name) {
  const size_t at = place(item, name);
  return is_function(item) && at < place(item, "{") && at + 1 < item.tokens.size() && item.tokens[at + 1] == "(";
}
// With a value: what has none is zero, whatever the patch says.
bool defines_variable(const Item& item, string_view name) {
  return item.tokens.back() == ";" && item.tokens.front() != "#" && place(item, name) < place(item, "=") &&
         place(item, "(") > place(item, "=");
}
bool defines_struct(const Item& item, string_view name) {
  const size_t at = place(item, name);
  return at > 0 && at + 1 < item.tokens.size() && is_one_of(item.tokens[at - 1], {"struct", "union"}) &&
         item.tokens[at + 1] == "{";
}

template <typename Defines>
const Item* find(const Items& items, string_view name, Defines defines) {
  const Item* found = nullptr;
  for (const Item& item : items.list) {
    if (item.tokens.empty() || !defines(item, name)) continue;
    if (found != nullptr) return nullptr;  // of two nobody knows which is meant
    found = &item;
  }
  return found;
}

std::string with(string_view text, Extent at, string_view replacement) {
  return fmt::format("{}{}{}", text.substr(0, at.begin), replacement, text.substr(at.end));
}

// The include stands behind the last one, outside of conditions.
std::string with_macros(std::string text) {
  constexpr string_view include = "#include \"kpatch-macros.h\"\n";
  if (text.find(include) != std::string::npos) return text;
  size_t at = 0;
  const Items items = items_of(text);
  for (const Item& item : items.list)
    if (item.kind == ItemKind::include && item.context == nullptr) at = extent_of(item, text).end;
  const size_t line_end = at == 0 ? 0 : text.find('\n', at);
  text.insert(line_end == std::string::npos ? text.size() : line_end + (at == 0 ? 0 : 1), include);
  return text;
}

// Tokens of a declaration at the places of calls, replaced.
std::string renamed_calls(string_view text, string_view from, string_view to) {
  std::string result;
  size_t done = 0;
  Lexer lexer(text);
  for (Lexer::Token token = lexer.next(); !token.text.empty(); token = lexer.next()) {
    if (token.text != from) continue;
    const auto at = static_cast<size_t>(token.text.data() - text.data());
    result.append(text.substr(done, at - done)).append(to);
    done = at + from.size();
  }
  return result.append(text.substr(done));
}

std::optional<std::string> without_branches(string_view key, string_view patched) {
  std::string result;
  size_t done = 0;
  std::vector<Lexer::Token> tokens;
  Lexer lexer(patched);
  for (Lexer::Token token = lexer.next(); !token.text.empty(); token = lexer.next()) tokens.push_back(token);
  for (size_t i = 0; i + 3 < tokens.size(); ++i) {
    if (!is_one_of(tokens[i].text,
                   {"static_branch_likely", "static_branch_unlikely", "static_key_false", "static_key_true"}))
      continue;
    if (tokens[i + 1].text != "(" || tokens[i + 2].text != "&" || tokens[i + 3].text != key) continue;
    const auto at = static_cast<size_t>(tokens[i].text.data() - patched.data());
    result.append(patched.substr(done, at - done)).append("static_key_enabled");
    done = at + tokens[i].text.size();
  }
  if (done == 0) return std::nullopt;
  return result.append(patched.substr(done));
}

// `static const int n`, `char *const p`; what `const char *p` points to is another thing.
bool is_constant(const Item& variable, string_view name) {
  const size_t end = place(variable, name);
  size_t begin = 0;
  for (size_t i = 0; i < end; ++i)
    if (variable.tokens[i] == "*") begin = i;
  return std::find(variable.tokens.begin() + static_cast<ptrdiff_t>(begin),
                   variable.tokens.begin() + static_cast<ptrdiff_t>(end),
                   "const") != variable.tokens.begin() + static_cast<ptrdiff_t>(end);
}

std::optional<std::string> by_callback(string_view name, string_view original, string_view patched) {
  const Items before = items_of(original), after = items_of(patched);
  const Item *old_one = find(before, name, defines_variable), *new_one = find(after, name, defines_variable);
  if (old_one == nullptr || new_one == nullptr || same_text(*old_one, *new_one)) return std::nullopt;
  // A constant is in memory that nobody writes to.
  if (is_constant(*old_one, name)) return std::nullopt;
  const Extent from = extent_of(*old_one, original), to = extent_of(*new_one, patched);
  std::string value;
  for (size_t i = place(*new_one, "=") + 1; i + 1 < new_one->tokens.size(); ++i)
    value += (value.empty() ? "" : " ") + std::string(new_one->tokens[i]);
  const bool plain = value.find('{') == std::string::npos;
  std::string text = with_macros(with(patched, to, original.substr(from.begin, from.end - from.begin)));
  if (!text.ends_with('\n')) text += '\n';
  text += fmt::format(
      "\n/*\n * {0} lives in the kernel already: it is set when the livepatch is enabled.\n"
      " * EDIT: take the locks of its users; what reads it meanwhile must be content with either value.\n */\n"
      "static typeof({0}) {0}_before_livepatch;\n\n"
      "static int set_{0}(patch_object *obj)\n{{\n\tmemcpy(&{0}_before_livepatch, &{0}, sizeof({0}));\n\t{1}\n\treturn "
      "0;\n}}\n"
      "KPATCH_PRE_PATCH_CALLBACK(set_{0});\n\n"
      "static void put_back_{0}(patch_object *obj)\n{{\n\tmemcpy(&{0}, &{0}_before_livepatch, sizeof({0}));\n}}\n"
      "KPATCH_POST_UNPATCH_CALLBACK(put_back_{0});\n",
      name, plain ? fmt::format("{} = {};", name, value) : fmt::format("/* EDIT: {} = {} */", name, value));
  return text;
}

std::optional<std::string> by_shadow_variable(string_view name, string_view original, string_view patched) {
  const Items before = items_of(original), after = items_of(patched);
  const Item *old_one = find(before, name, defines_struct), *new_one = find(after, name, defines_struct);
  if (old_one == nullptr || new_one == nullptr || same_text(*old_one, *new_one)) return std::nullopt;
  const Extent from = extent_of(*old_one, original), to = extent_of(*new_one, patched);
  const string_view old_text = original.substr(from.begin, from.end - from.begin);
  const string_view new_text = patched.substr(to.begin, to.end - to.begin);
  const std::vector<string_view> old_lines = lines_of(old_text);
  std::string members;
  for (const string_view line : lines_of(new_text))
    if (std::ranges::find(old_lines, line) == old_lines.end()) members.append("\t").append(trimmed(line)) += '\n';
  // A number that no other struct's has by chance.
  const std::string id = digest_of(name).substr(0, 8);
  return with(patched, to,
              fmt::format(R"({0}

/*
 * Objects of the old layout are alive: what is new hangs beside each as a shadow variable.
 * EDIT: use {1}_shadow(p)->MEMBER in place of p->MEMBER, NULL checked; free it where the object is freed; with
 * #include "kpatch-macros.h" in the C files. See samples/livepatch/livepatch-shadow-fix1.c of the kernel.
 */
#define KPATCH_SHADOW_{1} 0x{2}UL
struct {1}_shadow {{
{3}}};

#define {1}_shadow(object)						\
	((struct {1}_shadow *)klp_shadow_get_or_alloc((object), KPATCH_SHADOW_{1}, \
		sizeof(struct {1}_shadow), GFP_ATOMIC, NULL, NULL))
#define {1}_shadow_free(object) klp_shadow_free((object), KPATCH_SHADOW_{1}, NULL))",
                          old_text, name, id, members));
}

std::optional<std::string> by_callers(string_view name, string_view original, string_view patched) {
  const Items before = items_of(original), after = items_of(patched);
  const Item *old_one = find(before, name, defines_function), *new_one = find(after, name, defines_function);
  if (old_one == nullptr || new_one == nullptr || same_text(*old_one, *new_one)) return std::nullopt;
  const std::string copy = fmt::format("{}_patched", name);
  const Extent from = extent_of(*old_one, original), to = extent_of(*new_one, patched);
  const std::string fixed = renamed_calls(patched.substr(to.begin, to.end - to.begin), name, copy);
  std::string result;
  size_t done = 0, callers = 0;
  for (const Item& item : after.list) {
    if (item.tokens.empty() || !is_function(item)) continue;
    const Extent at = extent_of(item, patched);
    result.append(patched.substr(done, at.begin - done));
    const string_view text = patched.substr(at.begin, at.end - at.begin);
    if (&item == new_one) {
      result += fmt::format("{}\n\n/* EDIT: callers in other files still call {}() */\n{}",
                            original.substr(from.begin, from.end - from.begin), name, fixed);
    } else {
      const std::string calls = at.begin > to.begin ? renamed_calls(text, name, copy) : std::string(text);
      if (calls != text) ++callers;
      result += calls;
    }
    done = at.end;
  }
  if (callers == 0) return std::nullopt;
  return result.append(patched.substr(done));
}

}  // namespace

std::optional<std::string> way_out(const Finding& finding, string_view original, string_view patched) {
  string_view name = finding.location.function;
  for (const string_view word : {"struct ", "union "})
    if (name.starts_with(word)) name.remove_prefix(word.size());
  if (name.empty()) return std::nullopt;
  if (finding.rule == "static-key") return without_branches(name, patched);
  if (finding.rule == "data-init") return by_callback(name, original, patched);
  if (finding.rule == "data-layout") return by_shadow_variable(name, original, patched);
  if (finding.rule == "no-ftrace") return by_callers(name, original, patched);
  return std::nullopt;
}

}  // namespace kpatch
