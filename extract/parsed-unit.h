// A preprocessed C file as libclang sees it, cut into its outermost declarations.
#pragma once

#include <clang-c/Index.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/finding.h"

namespace kpatch {

struct SourceToken {
  uint32_t begin = 0, end = 0;  // in the text
};

// From the first token of a declaration to its semicolon, or its body's brace: all that it declares shares the text.
struct SourceChunk {
  uint32_t begin = 0, end = 0;   // in the text
  uint32_t first = 0, last = 0;  // tokens [first, last)
  std::vector<CXCursor> cursors;
};

// A function or variable at file scope: all its declarations, in the order of the text.
struct SourceEntity {
  std::vector<CXCursor> declarations;
  std::optional<CXCursor> definition{};  // with a body, or the variable's last that isn't extern
  bool function = false;
};

class ParsedUnit {
 public:
  ParsedUnit(std::string text, std::span<const std::string> arguments, std::vector<std::string> roots);
  ParsedUnit(const ParsedUnit&) = delete;
  ParsedUnit& operator=(const ParsedUnit&) = delete;
  ~ParsedUnit();

  std::string_view text() const { return text_; }
  std::string_view text_of(const SourceToken& token) const {
    return std::string_view(text_).substr(token.begin, token.end - token.begin);
  }
  const std::vector<SourceToken>& tokens() const { return tokens_; }
  const std::vector<SourceChunk>& chunks() const { return chunks_; }
  const std::map<std::string, SourceEntity, std::less<>>& entities() const { return entities_; }
  const SourceEntity* entity(std::string_view name) const;
  // Lines that the compiler obeys and that stand between declarations: "#pragma pack(1)"; by their offsets.
  const std::map<uint32_t, std::string>& pragmas() const { return pragmas_; }

  // The index of the chunk that holds the offset; nothing for what is in none.
  std::optional<size_t> chunk_at(uint32_t offset) const;
  // The first token at or behind an offset, as an index.
  uint32_t token_at(uint32_t offset) const;
  uint32_t offset_of(const CXCursor& cursor) const;  // of its name
  std::pair<uint32_t, uint32_t> range_of(const CXCursor& cursor) const;
  Location location_of(uint32_t offset) const;  // of the source, without the roots

  struct Error {
    uint32_t offset = 0;
    std::string message;
  };
  const std::vector<Error>& errors() const { return errors_; }

 private:
  void parse(std::span<const std::string> arguments);
  std::vector<std::string> unknown_builtins() const;
  void read_errors();
  void read_tokens();
  void cut();
  void collect();

  std::string text_;
  std::vector<std::string> roots_;
  CXIndex index_ = nullptr;
  CXTranslationUnit unit_ = nullptr;
  CXFile file_ = nullptr;
  std::vector<SourceToken> tokens_;
  std::vector<SourceChunk> chunks_;
  std::map<std::string, SourceEntity, std::less<>> entities_;
  std::map<uint32_t, std::string> pragmas_;
  std::vector<Error> errors_;
};

std::string taken(CXString string);  // as our own, the library's is given back

// visit(child) for each child of a cursor.
template <typename Visit>
void for_each_child(CXCursor cursor, Visit&& visit) {
  clang_visitChildren(
      cursor,
      [](CXCursor child, CXCursor, CXClientData data) {
        (*static_cast<std::remove_reference_t<Visit>*>(data))(child);
        return CXChildVisit_Continue;
      },
      &visit);
}

}  // namespace kpatch
