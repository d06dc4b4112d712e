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
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "kbuild/declarations.h"
#include "support/files.h"
#include "support/signals.h"

namespace kpatch {
namespace {

using std::string_view;

std::string text_of(const Item& item) {
  std::string text = item.context ? *item.context : std::string();
  for (const string_view token : item.tokens) text.append(1, '\0').append(token);
  return text;
}

uint32_t digest(string_view word) { return static_cast<uint32_t>(std::hash<string_view>()(word)); }

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

  // Whether a text with words of these digests may mention something. Never a wrong no.
  bool may_be_mentioned(std::span<const uint32_t> digests) const {
    return std::ranges::any_of(digests, [&](uint32_t digest) { return digests_[digest % digests_.size()]; });
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
  void note(string_view word) {
    may_be_[slot(word)] = true;
    digests_[digest(word) % digests_.size()] = true;
  }
  bool may_be(string_view word) const { return may_be_[slot(word)]; }

  std::set<std::string> names_;
  std::unordered_map<std::string, std::vector<uint32_t>> parts_;  // even: the left one, odd: the right one of a seam
  std::unordered_map<std::string, std::set<uint32_t>> pasting_;   // macros, and the parts that they must be given
  std::map<std::string, uint32_t> first_part_;                    // of a name; the left one of its first seam
  uint32_t next_part_ = 0;
  std::array<bool, 256 * 64> may_be_{};
  std::vector<bool> digests_ = std::vector<bool>(size_t{1} << 20U);
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
bool follow(std::span<Item> items, Names& names, const Names& defined, bool& grew) {
  for (Item& item : items) {
    if (item.kind == ItemKind::conditional) {
      if (asks_for_definition(item) ? defined.mentioned(item.tokens) : names.mentioned(item.tokens)) return true;
      continue;
    }
    if (item.kind == ItemKind::define) {
      // Its own name, and nothing else: another definition of it.
      if (names.mentioned(item.tokens, item.names)) grew |= names.add(item.names.front());
      grew |= names.learn_pasting(item);
      continue;
    }
    if (item.kind == ItemKind::include || !names.mentioned(item.tokens)) continue;
    classify(item);
    if (item.kind == ItemKind::other) return true;
    if (!names.mentioned(item.tokens, item.names)) continue;
    if (item.kind != ItemKind::inline_function) return true;
    for (const string_view name : item.names) grew |= names.add(name);
  }
  return false;
}

ChangedNames changes_between(std::span<Item> original, std::span<Item> patched) {
  // What both begin and end with, which is nearly all of it.
  const auto [a, b] = std::ranges::mismatch(original, patched, same_text);
  const std::span<Item> rest(a, original.end()), other_rest(b, patched.end());
  const auto [c, d] = std::mismatch(rest.rbegin(), rest.rend(), other_rest.rbegin(), other_rest.rend(), same_text);
  const std::array<std::span<Item>, 2> sides = {std::span(rest.begin(), c.base()),
                                                std::span(other_rest.begin(), d.base())};
  std::map<std::string, std::array<size_t, 2>> counts;
  std::array<std::vector<std::pair<std::string, const Item*>>, 2> texts;
  for (size_t side = 0; side < 2; ++side)
    for (Item& item : sides[side]) {
      if (item.kind == ItemKind::conditional) continue;  // part of what it is around
      classify(item);
      texts[side].emplace_back(text_of(item), &item);
      ++counts[texts[side].back().first][side];
    }
  ChangedNames changed;
  std::array<std::vector<std::string>, 2> kept;
  std::set<std::string> names;
  std::array<std::set<std::string>, 2> macros;
  for (size_t side = 0; side < 2; ++side)
    for (const auto& [text, item] : texts[side]) {
      if (item->kind == ItemKind::define && item->tokens[1] == "define") macros[side].emplace(item->names.front());
      const auto& count = counts[text];
      if (count[0] == count[1]) {
        kept[side].push_back(text);
        continue;
      }
      const bool followed = item->kind == ItemKind::define || item->kind == ItemKind::inline_function ||
                            item->kind == ItemKind::prototype || item->kind == ItemKind::enumeration;
      if (!followed) changed.everything = true;
      changed.macros |= item->kind == ItemKind::define;
      names.insert(item->names.begin(), item->names.end());
    }
  // What only moved can mean something else where it is now.
  if (kept[0] != kept[1]) changed.everything = true;
  changed.names.assign(names.begin(), names.end());
  for (const std::string& name : changed.names)
    if (macros[0].contains(name) != macros[1].contains(name)) changed.defined.push_back(name);
  return changed;
}

// Whether anything uses one of the names: not by declaring it, nor in an inline function that nobody calls.
bool is_used(std::span<const std::string> wanted, std::span<const std::span<Item>> lists) {
  Names names;
  for (const std::string& name : wanted) names.add_whole(name);
  for (bool grew = true; grew;) {
    grew = false;
    for (const std::span<Item> items : lists)
      for (Item& item : items) {
        if (!names.mentioned(item.tokens)) continue;
        classify(item);
        if (!names.mentioned(item.tokens, item.names)) continue;
        if (item.kind != ItemKind::inline_function) return true;
        for (const string_view name : item.names) grew |= names.add_whole(name);
      }
  }
  return false;
}

// What is known of a header without its text.
struct HeaderWords {
  std::vector<uint32_t> digests;  // of its words, each once
  bool pastes = false;            // it has a ##
};

HeaderWords words_of(string_view text) {
  HeaderWords words;
  for (const string_view token : tokens_of(text)) {
    if (continues_word(token.front())) words.digests.push_back(digest(token));
    words.pastes |= token == "##";
  }
  std::ranges::sort(words.digests);
  words.digests.erase(std::unique(words.digests.begin(), words.digests.end()), words.digests.end());
  words.digests.shrink_to_fit();
  return words;
}

}  // namespace

ChangedNames changed_names(string_view original, string_view patched) {
  Items before = items_of(original), after = items_of(patched);
  return changes_between(before.list, after.list);
}

bool code_may_differ(string_view original, string_view patched) {
  std::array<Items, 2> sides = {items_of(original), items_of(patched)};
  const ChangedNames changed = changes_between(sides[0].list, sides[1].list);
  if (changed.everything) return true;
  const std::array<std::span<Item>, 2> lists = {sides[0].list, sides[1].list};
  return is_used(changed.names, lists);
}

bool code_uses(string_view text, std::span<const std::string> names) {
  Items items = items_of(text);
  const std::array<std::span<Item>, 1> lists = {items.list};
  return is_used(names, lists);
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
  std::vector<std::optional<HeaderWords>> words(headers.size());
  for (bool grew = true; grew;) {
    grew = false;
    for (size_t i = 0; i < headers.size(); ++i) {
      if (whole.contains(headers[i])) continue;
      check_interrupted();
      const auto may_matter = [&] { return words[i]->pastes || names.may_be_mentioned(words[i]->digests); };
      if (words[i] && !may_matter()) continue;
      const std::string text = read_file_if_any(headers[i]);
      if (!words[i]) words[i] = words_of(text);
      if (!may_matter()) continue;
      Items items = items_of(text);
      if (follow(items.list, names, defined, grew)) whole.insert(headers[i]);
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
