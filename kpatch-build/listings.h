// The instructions of changed functions, with the text of their source.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

struct ListedSource {
  std::string file;  // relative to the kernel's source where it is part of it
  int line = 0;      // as a person counts in the file, patched or not
  std::string text;  // the line, without the blanks at its ends; empty where it can't be read
};

struct ListedLine {
  uint64_t offset = 0;                   // from the function's start
  std::string text;                      // the instruction, without the target of a branch within the function …
  std::optional<uint64_t> to{};          // … which is at this offset
  std::optional<ListedSource> source{};  // where another source line begins
};

struct FunctionListing {
  std::string name;
  std::vector<ListedLine> original, patched;  // one is empty where that side doesn't have the function
};

// The tree that one side was compiled from.
struct ListedTree {
  std::filesystem::path root;
  std::function<std::string(const std::string&)> relative;  // a file as the compiler was told -> one of the tree
};

// listings: of create-diff-object's report. Throws nlohmann's exceptions when they are none.
std::vector<FunctionListing> listings_of(const nlohmann::json& listings, const ListedTree& original,
                                         const ListedTree& patched);

// The lines of a source file by the numbers that the compiler knows, which `#line` directives may have set.
class NumberedLines {
 public:
  explicit NumberedLines(std::string_view text);

  struct Line {
    int place = 0;       // in the file without our directives, from 1
    std::string text{};  // without the blanks at its ends
  };
  // A number may stand for several lines, where the patch has added some: the one nearest to the place `near`, or, where
  // that is 0, the one that has `word` in it, or the last one.
  std::optional<Line> find(int number, int near, std::string_view word) const;

 private:
  std::multimap<int, Line> lines_;
};

}  // namespace kpatch
