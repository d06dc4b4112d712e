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
// The preprocessor can paste names together (kbuild/pasting.h). A text that holds both halves of a name counts as
// mentioning it, and so does one that gives a macro what makes a name of the macro's own words.
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
#include "kbuild/pasting.h"
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

  // What headers hold, all together: a macro that isn't called where it is mentioned may be given any of it, by a list
  // that one of them has: "#define LEVELS(F) F(err) F(warn)". They must outlive this.
  void set_header_words(const std::unordered_set<uint32_t>& digests) { header_words_ = &digests; }

  // but: names of which a mention doesn't count, since the text declares them itself.
  bool mentioned(std::span<const string_view> tokens, std::span<const string_view> but = {}) const {
    std::unordered_set<uint32_t> seen;  // parts
    std::vector<const std::set<std::string>*> wanted;
    bool has_joiner = false;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const string_view token = tokens[i];
      if (!continues_word(token.front()) || !may_be(token)) continue;
      if (std::find(but.begin(), but.end(), token) != but.end()) continue;
      const std::string word(token);
      if (names_.contains(word)) return true;
      if (const auto macro = given_.find(word); macro != given_.end()) {
        if (is_handed_on(tokens, i) && in_headers(macro->second)) return true;
        wanted.push_back(&macro->second);
      }
      has_joiner |= joiners_.contains(word);
      if (see_part(word, seen)) return true;
      if (const auto alias = aliases_.find(word); alias != aliases_.end())
        for (const std::string& other : alias->second)
          if (see_part(other, seen)) return true;
    }
    if (wanted.empty() && !has_joiner) return false;
    std::set<std::string> joined;
    if (has_joiner)
      for (const PastedChain& chain : chains_of(tokens, {}, is_joiner())) joined.insert(joined_word(chain));
    if (std::ranges::any_of(joined, [&](const std::string& word) { return names_.contains(word); })) return true;
    const auto is_wanted = [&](const std::string& word) {
      return std::ranges::any_of(wanted, [&](const auto* words) { return words->contains(word); });
    };
    if (std::ranges::any_of(joined, is_wanted)) return true;
    return std::ranges::any_of(tokens, [&](string_view token) {
      if (wanted.empty() || !continues_word(token.front()) || !may_be(token)) return false;
      if (std::find(but.begin(), but.end(), token) != but.end()) return false;
      const std::string word(token);
      if (is_wanted(word)) return true;
      const auto alias = aliases_.find(word);
      return alias != aliases_.end() && std::ranges::any_of(alias->second, is_wanted);
    });
  }

  // A macro that makes names of parts, or that uses such a macro, stands for them where what it must be given is there;
  // one that is another word for a part is that part. Returns whether there is something new to look for.
  bool learn_pasting(const Item& define) {
    const MacroText macro = macro_of(define);
    if (macro.body.empty()) return false;
    const std::string name(macro.name);
    bool grew = false;
    if (!macro.has_parameters && macro.body.size() == 1) grew |= learn_alias(name, std::string(macro.body.front()));
    if (joins_what_it_is_given(macro, is_joiner())) {
      note(name);
      return joiners_.insert(name).second || grew;
    }
    GivenWords given = given_to(macro);
    if (given.nothing) grew |= add(name);
    if (given.words.empty()) return grew;
    std::set<std::string>& known = given_[name];
    const size_t size = known.size();
    for (const std::string& word : given.words) note(word);
    known.merge(given.words);
    note(name);
    return grew || known.size() > size;
  }

  // Whether a header holds what the macro must be given: it may call what a text defines before it includes it.
  bool may_be_given_by_headers(const Item& define) const {
    const auto known = given_.find(std::string(macro_of(define).name));
    return known != given_.end() && in_headers(known->second);
  }

  // Whether that would say something new; never a wrong no.
  bool may_learn_pasting(const Item& define) const {
    const MacroText macro = macro_of(define);
    if (joins_what_it_is_given(macro, is_joiner())) return true;
    const GivenWords given = given_to(macro);
    return given.nothing || !given.words.empty();
  }

  // Whether a text of these tokens pastes something together by itself.
  bool pastes(std::span<const string_view> tokens) const {
    return std::ranges::any_of(tokens, [&](string_view token) { return token == "##" || joins(token); });
  }

  // Whether a text with words of these digests may mention something. Never a wrong no.
  bool may_be_mentioned(std::span<const uint32_t> digests) const {
    return std::ranges::any_of(digests, [&](uint32_t digest) { return digests_[digest % digests_.size()]; });
  }

  std::vector<std::string> all() const { return {names_.begin(), names_.end()}; }

 private:
  // Returns whether the other part of a name was seen.
  bool see_part(const std::string& word, std::unordered_set<uint32_t>& seen) const {
    const auto part = parts_.find(word);
    if (part == parts_.end()) return false;
    for (const uint32_t number : part->second) {
      if (seen.contains(number ^ 1U)) return true;
      seen.insert(number);
    }
    return false;
  }

  // As the argument of a macro, perhaps.
  static bool is_handed_on(std::span<const string_view> tokens, size_t at) {
    if (at == 0 || at + 1 >= tokens.size()) return false;
    if (at > 1 && tokens[at - 2] == "defined") return false;
    return is_one_of(tokens[at - 1], {"(", ","}) && is_one_of(tokens[at + 1], {",", ")"});
  }

  bool in_headers(const std::set<std::string>& words) const {
    return header_words_ != nullptr &&
           std::ranges::any_of(words, [&](const std::string& word) { return header_words_->contains(digest(word)); });
  }

  bool joins(string_view word) const { return may_be(word) && joiners_.contains(std::string(word)); }
  IsJoiner is_joiner() const {
    return [this](string_view word) { return joins(word); };
  }

  static std::string joined_word(const PastedChain& chain) {
    std::string word;
    for (const PastedPart& part : chain.parts) word += part.word;
    return word;
  }

  bool learn_alias(const std::string& name, const std::string& word) {
    if (name == word || !continues_word(word.front()) || !may_be(word)) return false;
    std::set<std::string> words;
    if (const auto other = aliases_.find(word); other != aliases_.end()) words = other->second;
    const bool given = std::ranges::any_of(given_, [&](const auto& macro) { return macro.second.contains(word); });
    if (given || parts_.contains(word)) words.insert(word);
    if (words.empty()) return false;
    std::set<std::string>& known = aliases_[name];
    const size_t size = known.size();
    known.merge(words);
    note(name);
    return known.size() > size;
  }

  GivenWords given_to(const MacroText& macro) const {
    GivenWords given;
    std::set<std::string> inner;  // what the macros want that this one uses
    bool pastes = false;
    for (const string_view token : macro.body) {
      pastes |= token == "##";
      if (!continues_word(token.front()) || token == macro.name || !may_be(token)) continue;
      const std::string word(token);
      pastes |= joiners_.contains(word);
      if (const auto known = given_.find(word); known != given_.end())
        inner.insert(known->second.begin(), known->second.end());
    }
    if (pastes)
      for (const PastedChain& chain : chains_of(macro.body, macro.parameters, is_joiner())) {
        for (const std::string& name : names_) add_given_words(chain, name, given);
        for (const std::string& word : inner) add_given_words(chain, word, given);
      }
    given.words.merge(inner);
    return given;
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
  std::unordered_map<std::string, std::vector<uint32_t>> parts_;    // even: the left one, odd: the right one of a seam
  std::unordered_map<std::string, std::set<std::string>> given_;    // macros, and what they must be given
  std::unordered_map<std::string, std::set<std::string>> aliases_;  // macros that are another word for something
  std::set<std::string> joiners_;                                   // macros
  const std::unordered_set<uint32_t>* header_words_ = nullptr;      // digests; none: nobody knows yet
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

// Whether the text mentions a name, its own macros included.
bool unit_mentions(string_view text, const Names& names) {
  const std::vector<string_view> tokens = tokens_of(text);
  if (names.mentioned(tokens)) return true;
  if (!names.pastes(tokens)) return false;
  Items items = items_of(text);
  std::erase_if(items.list, [](const Item& item) { return item.kind != ItemKind::define; });
  if (std::ranges::none_of(items.list, [&](const Item& item) { return names.may_learn_pasting(item); })) return false;
  Names with_own = names;
  for (bool grew = true; grew;) {
    grew = false;
    for (const Item& item : items.list) grew |= with_own.learn_pasting(item);
  }
  const auto by_headers = [&](const Item& item) { return with_own.may_be_given_by_headers(item); };
  return with_own.mentioned(tokens) || std::ranges::any_of(items.list, by_headers);
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
  std::vector<HeaderWords> words;
  std::unordered_set<uint32_t> header_words;
  for (const std::string& header : headers) {
    check_interrupted();
    words.push_back(words_of(read_file_if_any(header)));
    header_words.insert(words.back().digests.begin(), words.back().digests.end());
  }
  names.set_header_words(header_words);
  for (bool grew = true; grew;) {
    grew = false;
    for (size_t i = 0; i < headers.size(); ++i) {
      if (whole.contains(headers[i]) || (!words[i].pastes && !names.may_be_mentioned(words[i].digests))) continue;
      check_interrupted();
      const std::string text = read_file_if_any(headers[i]);
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
    // Its own texts, and -DMACRO=name, together: what one defines, another may use.
    std::string text;
    for (const std::string& argument : units[unit].arguments)
      if (argument.starts_with("-D")) text += argument.substr(2) + "\n";
    for (const std::string& file : graph.own_files(unit)) text += read_file_if_any(file) + "\n";
    if (unit_mentions(text, names)) found.insert(unit);
  }
  return {{found.begin(), found.end()}, names.all(), touched};
}

}  // namespace kpatch
