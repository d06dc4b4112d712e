// A rule for who reads it in a terminal
//
//     data-init (refusal)
//     Data that is in use has another initial value or another size
//     …
//     Instead: a pre_patch callback writes the new value …
//
// Of Markdown the texts have paragraphs, `code`, **bold**, *emphasis*, and links, [text](where): words keep their text, code and bold
// are shown as such where there is colour. Patches stand as they are: a wrapped line would be another patch.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "rules/rules.h"
#include "support/text.h"

namespace kpatch {
namespace {

constexpr std::string_view bold_on = "\033[1m", code_on = "\033[36m", add_on = "\033[32m", remove_on = "\033[31m",
                           off = "\033[0m";

std::string painted(bool colour, std::string_view how, std::string_view text) {
  return colour ? fmt::format("{}{}{}", how, text, off) : std::string(text);
}

// A letter of several bytes is one column.
size_t columns_of(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// What is shown of a piece of text, in words.
struct Word {
  std::string text;  // with what colours it
  size_t columns = 0;
  bool space = true;  // before it
};

class Words {
 public:
  Words(std::string_view markdown, bool colour) : rest_(markdown), colour_(colour) {
    while (!rest_.empty()) step();
    finish();
  }
  std::vector<Word> take() { return std::move(words_); }

 private:
  void step() {
    if (take_marked("`", code_on) || take_marked("**", bold_on) || take_marked("*", bold_on) || take_link()) return;
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (white_space.find(c) != std::string_view::npos)
      finish();
    else
      add(std::string(1, c), (static_cast<unsigned char>(c) & 0xc0) == 0x80 ? 0 : 1);
  }

  // `code` stays together but at its spaces, where it may break as any text.
  bool take_marked(std::string_view mark, std::string_view how) {
    if (!rest_.starts_with(mark)) return false;
    const size_t end = rest_.find(mark, mark.size());
    if (end == std::string_view::npos || end == mark.size()) return false;
    const std::string_view inner = rest_.substr(mark.size(), end - mark.size());
    bool first = true;
    for (const std::string_view word : words_of(inner)) {
      if (!first) finish();
      first = false;
      add(painted(colour_, how, word), columns_of(word));
    }
    rest_.remove_prefix(end + mark.size());
    return true;
  }

  // Where it leads is a place of the guide, which a terminal can't go to.
  bool take_link() {
    if (!rest_.starts_with('[')) return false;
    const size_t end = rest_.find("](");
    const size_t close = rest_.find(')', end == std::string_view::npos ? end : end + 2);
    if (end == std::string_view::npos || close == std::string_view::npos) return false;
    const std::string_view inner = rest_.substr(1, end - 1);
    const std::string_view after = rest_.substr(close + 1);
    std::string text(inner);
    Words shown(inner, colour_);
    bool first = true;
    for (Word& word : shown.take()) {
      if (!first) finish();
      first = false;
      add(word.text, word.columns);
    }
    rest_ = after;
    return true;
  }

  void add(const std::string& text, size_t columns) {
    word_.text += text;
    word_.columns += columns;
  }
  void finish() {
    if (!word_.text.empty()) words_.push_back(std::move(word_));
    word_ = {};
  }

  std::string_view rest_;
  bool colour_;
  Word word_;
  std::vector<Word> words_;
};

std::string wrapped(std::string_view markdown, unsigned width, bool colour) {
  std::string text;
  size_t column = 0;
  for (const Word& word : Words(markdown, colour).take()) {
    if (column != 0 && column + 1 + word.columns > width) {
      text += '\n';
      column = 0;
    }
    if (column != 0) {
      text += ' ';
      ++column;
    }
    text += word.text;
    column += word.columns;
  }
  return text + "\n";
}

std::string example(std::string_view title, std::string_view patch, bool colour) {
  std::string text = "\n" + painted(colour, bold_on, title) + "\n\n";
  for (const std::string_view line : lines_of(patch)) {
    const bool file = line.starts_with("+++ ") || line.starts_with("--- ");
    const std::string_view how = file                     ? bold_on
                                 : line.starts_with('+')  ? add_on
                                 : line.starts_with('-')  ? remove_on
                                 : line.starts_with("@@") ? code_on
                                                          : std::string_view();
    text += "    " + (how.empty() ? std::string(line) : painted(colour, how, line)) + "\n";
  }
  return text;
}

// The first text of the summary, without marks: for lists.
std::string plain(std::string_view markdown) {
  std::string text;
  for (const Word& word : Words(markdown, false).take()) text += (text.empty() ? "" : " ") + word.text;
  return text;
}

}  // namespace

std::string instead_of(const Rule& rule) {
  constexpr std::string_view mark = "Instead: ";
  const size_t begin = rule.text.find(mark);
  if (begin == std::string_view::npos) return {};
  const std::string_view rest = rule.text.substr(begin + mark.size());
  const std::string text = plain(rest.substr(0, rest.find("\n\n")));
  const size_t end = std::min(text.find(". "), text.size());
  return text.substr(0, end != 0 && end == text.size() && text.ends_with('.') ? end - 1 : end);
}

void add_advice(std::vector<Finding>& findings) {
  for (Finding& finding : findings) {
    if (finding.severity != Severity::refusal || !finding.advice.empty()) continue;
    if (const Rule* rule = find_rule(finding.rule)) finding.advice = instead_of(*rule);
  }
}

std::string rules_list(bool colour) {
  size_t name_width = 0, kind_width = 0;
  for (const Rule& rule : all_rules()) {
    name_width = std::max(name_width, rule.name.size());
    kind_width = std::max(kind_width, rule.kinds.size());
  }
  std::string text;
  for (const Rule& rule : all_rules())
    text += fmt::format("{}{}  {:{}}  {}\n", painted(colour, bold_on, rule.name),
                        std::string(name_width - rule.name.size(), ' '), rule.kinds, kind_width, plain(rule.summary));
  return text;
}

std::string rule_page(const Rule& rule, unsigned width, bool colour) {
  std::string text = fmt::format("{} ({})\n", painted(colour, bold_on, rule.name), rule.kinds);
  text += wrapped(rule.summary, width, colour);
  std::string paragraph;
  const auto finish = [&] {
    if (!paragraph.empty()) text += "\n" + wrapped(paragraph, width, colour);
    paragraph.clear();
  };
  for (const std::string_view line : lines_of(rule.text)) {
    if (line.empty())
      finish();
    else
      paragraph += (paragraph.empty() ? "" : " ") + std::string(line);
  }
  finish();
  text += "\n" + wrapped(fmt::format("Of {}.{}", rule.programs,
                                     rule.acknowledgeable
                                         ? fmt::format(" `--ack {}` accepts it; the module records that.", rule.name)
                                         : ""),
                         width, colour);
  if (!rule.no_example.empty()) text += "\n" + wrapped(fmt::format("No example: {}.", rule.no_example), width, colour);
  if (!rule.bad.empty()) text += example("Bad:", rule.bad, colour);
  if (!rule.good.empty()) text += example("Good:", rule.good, colour);
  return text;
}

}  // namespace kpatch
