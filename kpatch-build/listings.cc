// From the compiler's line numbers to the source
//
//     static int show(…)           34        34
//     {                            35        35
//     +	trace(…);                           36
//     	return 0;                   36        37
//     }                            37        38
//                                            #line 38 /* kpatch */
//     static int other(…)          38        38
//
// So that lines which a patch only shifts keep their numbers, the patched file tells the compiler others than its own
// (patch/line-marks.h). Some stand for two lines then: in one function the lines lie side by side, which tells them apart.
#include "kpatch-build/listings.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "patch/patch.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

class Sources {
 public:
  explicit Sources(const ListedTree& tree) : tree_(tree) {}

  std::vector<ListedLine> lines(const nlohmann::json& side, std::string_view function) {
    std::vector<ListedLine> list;
    std::map<std::string, int> last;  // place, by file
    for (const auto& entry : side) {
      ListedLine line{entry.at("offset").get<uint64_t>(), entry.at("text").get<std::string>(), {}, {}};
      if (const auto to = entry.find("to"); to != entry.end()) line.to = to->get<uint64_t>();
      if (const auto file = entry.find("file"); file != entry.end()) {
        line.source = ListedSource{relative(file->get<std::string>()), entry.at("line").get<int>(), {}};
        int& place = last[line.source->file];
        if (const auto found = numbered(line.source->file).find(line.source->line, place, function)) {
          line.source->line = place = found->place;
          line.source->text = found->text;
        }
      }
      list.push_back(std::move(line));
    }
    return list;
  }

 private:
  const std::string& relative(const std::string& file) {
    const auto [known, is_new] = relative_.try_emplace(file);
    if (is_new) known->second = tree_.relative(file);
    return known->second;
  }

  const NumberedLines& numbered(const std::string& file) {
    const auto known = files_.find(file);
    if (known != files_.end()) return known->second;
    // What isn't the kernel's source (a generated file, a compiler's own header) has no text.
    std::error_code ignored;
    const bool is_there = !fs::path(file).is_absolute() && fs::is_regular_file(tree_.root / file, ignored);
    return files_.emplace(file, NumberedLines(is_there ? read_file(tree_.root / file) : "")).first->second;
  }

  const ListedTree& tree_;
  std::map<std::string, std::string> relative_;
  std::map<std::string, NumberedLines> files_;
};

}  // namespace

std::vector<FunctionListing> listings_of(const nlohmann::json& listings, const ListedTree& original,
                                         const ListedTree& patched) {
  std::vector<FunctionListing> list;
  Sources before(original), after(patched);
  for (const auto& entry : listings) {
    FunctionListing listing;
    listing.name = entry.at("name").get<std::string>();
    listing.original = before.lines(entry.at("original"), listing.name);
    listing.patched = after.lines(entry.at("patched"), listing.name);
    list.push_back(std::move(listing));
  }
  return list;
}

NumberedLines::NumberedLines(std::string_view text) {
  int number = 1, place = 1;
  for (const std::string_view line : lines_of(text)) {
    if (const std::optional<int> mark = line_mark(line)) {
      number = *mark;
      continue;
    }
    lines_.emplace(number++, Line{place++, std::string{trimmed(line)}});
  }
}

std::optional<NumberedLines::Line> NumberedLines::find(int number, int near, std::string_view word) const {
  std::optional<Line> best;
  for (auto [at, end] = lines_.equal_range(number); at != end; ++at) {
    const Line& line = at->second;
    const auto is_better = [&] {
      if (near != 0) return std::abs(line.place - near) < std::abs(best->place - near);
      const bool has = line.text.find(word) != std::string::npos;
      return has || best->text.find(word) == std::string::npos;
    };
    if (!best || is_better()) best = line;
  }
  return best;
}

}  // namespace kpatch
