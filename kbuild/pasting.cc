// A chain "net_ ## level ## _ratelimited" makes the name net_notice_ratelimited where `notice` is given. Chains are
// matched against the names that are looked for; from each way to match, one word that can't be missing is kept: the
// longest. What is given may be the empty text, too.
#include "kbuild/pasting.h"

#include <algorithm>

namespace kpatch {
namespace {

using std::string_view;
using Kind = PastedPart::Kind;
using Tokens = std::span<const string_view>;

class ChainReader {
 public:
  ChainReader(Tokens tokens, const std::set<string_view>& parameters, const IsJoiner& is_joiner)
      : tokens_(tokens), parameters_(parameters), is_joiner_(is_joiner) {}

  // From there on, as far as it goes. Without parts: there is none.
  PastedChain read(size_t at) const {
    PastedChain chain;
    chain.begin = at;
    while (operand(at, chain.parts)) {
      chain.end = at;
      if (at + 1 >= tokens_.size() || tokens_[at] != "##") break;
      ++at;
    }
    if (chain.parts.size() < 2) chain.parts.clear();
    return chain;
  }

 private:
  bool is(size_t at, string_view text) const { return at < tokens_.size() && tokens_[at] == text; }
  bool is_word(size_t at) const { return at < tokens_.size() && continues_word(tokens_[at].front()); }

  bool operand(size_t& at, std::vector<PastedPart>& parts) const {
    if (!is_word(at)) return false;
    if (is(at + 1, "(") && is_joiner_(tokens_[at]) && arguments(at, parts)) return true;
    parts.push_back({parameters_.contains(tokens_[at]) ? Kind::given : Kind::word, tokens_[at]});
    ++at;
    return true;
  }

  // Of a call, behind which `at` is left; where it doesn't end, nothing is changed.
  bool arguments(size_t& at, std::vector<PastedPart>& parts) const {
    std::vector<PastedPart> found;
    size_t begin = at + 2;
    size_t depth = 0;
    for (size_t i = begin; i < tokens_.size(); ++i) {
      if (is(i, "(")) ++depth;
      if (depth == 0 && (is(i, ",") || is(i, ")"))) {
        argument(begin, i, found);
        begin = i + 1;
        if (!is(i, ")")) continue;
        parts.insert(parts.end(), found.begin(), found.end());
        at = i + 1;
        return true;
      }
      if (is(i, ")")) --depth;
    }
    return false;
  }

  void argument(size_t begin, size_t end, std::vector<PastedPart>& parts) const {
    if (begin == end) return;
    size_t at = begin;
    const size_t size = parts.size();
    if (operand(at, parts) && at == end) return;
    parts.resize(size);
    parts.push_back({Kind::unknown, {}});
  }

  Tokens tokens_;
  const std::set<string_view>& parameters_;
  const IsJoiner& is_joiner_;
};

// What stands between the words of a chain.
struct Gap {
  size_t given = 0;
  bool unknown = false;
};

// Words and gaps in turn: the gap before each word, and behind the last one.
struct Pattern {
  std::vector<std::string> words;
  std::vector<Gap> gaps = {{}};
};

Pattern pattern_of(const PastedChain& chain) {
  Pattern pattern;
  for (const PastedPart& part : chain.parts) {
    Gap& gap = pattern.gaps.back();
    if (part.kind == Kind::unknown) {
      gap.unknown = true;
    } else if (part.kind == Kind::given) {
      ++gap.given;
    } else if (!pattern.words.empty() && gap.given == 0 && !gap.unknown) {
      pattern.words.back() += part.word;
    } else {
      pattern.words.emplace_back(part.word);
      pattern.gaps.emplace_back();
    }
  }
  return pattern;
}

class Matcher {
 public:
  Matcher(const Pattern& pattern, GivenWords& given) : pattern_(pattern), given_(given), filled_(pattern.gaps.size()) {}

  void match(string_view rest, size_t gap = 0) {
    if (gap == pattern_.words.size()) {
      if (fill(gap, rest)) keep();
      return;
    }
    const string_view word = pattern_.words[gap];
    for (size_t at = rest.find(word); at != string_view::npos; at = rest.find(word, at + 1))
      if (fill(gap, rest.substr(0, at))) match(rest.substr(at + word.size()), gap + 1);
  }

 private:
  bool fill(size_t gap, string_view text) {
    filled_[gap] = text;
    return text.empty() || pattern_.gaps[gap].given > 0 || pattern_.gaps[gap].unknown;
  }

  void keep() {
    size_t best = filled_.size();
    const auto least = [&](size_t i) {  // how long one word of a gap is, at least
      return (filled_[i].size() + pattern_.gaps[i].given - 1) / pattern_.gaps[i].given;
    };
    for (size_t i = 0; i < filled_.size(); ++i) {
      if (filled_[i].empty() || pattern_.gaps[i].unknown) continue;
      if (best == filled_.size() || least(i) > least(best)) best = i;
    }
    if (best == filled_.size()) {
      given_.nothing = true;
      return;
    }
    const string_view text = filled_[best];
    const size_t shortest = least(best), longest = text.size();
    for (size_t length = pattern_.gaps[best].given == 1 ? longest : shortest; length <= longest; ++length)
      for (size_t at = 0; at + length <= text.size(); ++at) given_.words.emplace(text.substr(at, length));
  }

  const Pattern& pattern_;
  GivenWords& given_;
  std::vector<string_view> filled_;
};

}  // namespace

MacroText macro_of(const Item& define) {
  const Tokens tokens(define.tokens);
  MacroText macro;
  if (tokens.size() < 3) return macro;
  macro.name = tokens[2];
  macro.body = tokens.subspan(3);
  // Else the bracket is of what an object-like macro stands for.
  if (macro.body.empty() || macro.body.front() != "(" ||
      macro.body.front().data() != macro.name.data() + macro.name.size())
    return macro;
  macro.has_parameters = true;
  size_t i = 1;
  for (; i < macro.body.size() && macro.body[i] != ")"; ++i) {
    if (continues_word(macro.body[i].front())) macro.parameters.insert(macro.body[i]);
    if (macro.body[i] == ".") macro.parameters.insert("__VA_ARGS__");
  }
  macro.body = macro.body.subspan(std::min(i + 1, macro.body.size()));
  return macro;
}

std::vector<PastedChain> chains_of(Tokens tokens, const std::set<string_view>& parameters, const IsJoiner& is_joiner) {
  std::vector<PastedChain> chains;
  const ChainReader reader(tokens, parameters, is_joiner);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && tokens[i - 1] == "##") continue;
    PastedChain chain = reader.read(i);
    if (!chain.parts.empty()) chains.push_back(std::move(chain));
  }
  return chains;
}

bool joins_what_it_is_given(const MacroText& macro, const IsJoiner& is_joiner) {
  if (!macro.has_parameters || macro.body.empty()) return false;
  const PastedChain chain = ChainReader(macro.body, macro.parameters, is_joiner).read(0);
  return !chain.parts.empty() && chain.end == macro.body.size() &&
         std::ranges::all_of(chain.parts, [](const PastedPart& part) { return part.kind == Kind::given; });
}

void add_given_words(const PastedChain& chain, string_view name, GivenWords& given) {
  const Pattern pattern = pattern_of(chain);
  if (!pattern.words.empty()) Matcher(pattern, given).match(name);
}

}  // namespace kpatch
