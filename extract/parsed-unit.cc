// gcc's preprocessed text, read by libclang
//
//     # 33 "/…/fs/proc/meminfo.c"
//     static int meminfo_proc_show(struct seq_file *m, void *v)
//     { … }
//     static struct { int a; } one, *two;
//
// libclang reads what `gcc -E` wrote as "cpp-output": offsets are those of the text, and line markers give the file and
// line that each stands for. Of some 40 units of a stock kernel all but one are read without an error once two constructs
// are gone that gcc knows and clang doesn't (doc/extract.md has the figures):
//
//     __builtin_has_attribute(x, y)    is 0: it stands in assertions only
//     __seg_gs, __seg_fs               are blanks: where a variable lies, not what it is
//
// They are overwritten in a copy with as many characters, so that offsets stay. Builtins that clang lacks are declared in
// front of the text, which is shifted by as many blanks.
//
// A declaration's text isn't told exactly by libclang: attributes may lie outside of an extent, several variables share
// one beginning. So the text is cut by its tokens, at each semicolon outside of all brackets, and behind the brace where
// libclang says that a function ends. Each cursor belongs to the piece in which its name stands.
#include "extract/parsed-unit.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <utility>

#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

using std::string;
using std::string_view;

constexpr const char* file_name = "unit.i";

bool word_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Calls use(offset) for each place of a word.
template <typename Use>
void each_word(const string& text, string_view word, Use use) {
  for (size_t at = text.find(word); at != string::npos; at = text.find(word, at + 1)) {
    const bool begins = at == 0 || !word_character(text[at - 1]);
    if (begins && !(at + word.size() < text.size() && word_character(text[at + word.size()]))) use(at);
  }
}

// Behind the bracket that closes the first one from `at` on.
size_t behind_brackets(string_view text, size_t at) {
  int depth = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '(') ++depth;
    if (text[at] == ')' && --depth == 0) return at + 1;
  }
  return string_view::npos;
}

void blank(string& text, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i)
    if (text[i] != '\n') text[i] = ' ';
}

string without_gcc_only(string text) {
  for (const string_view space : {"__seg_gs", "__seg_fs"})
    each_word(text, space, [&](size_t at) { blank(text, at, at + space.size()); });
  each_word(text, "__builtin_has_attribute", [&](size_t at) {
    const size_t end = behind_brackets(text, at);
    if (end == string::npos) return;
    blank(text, at, end);
    text[at] = '0';
  });
  return text;
}

bool changes_reading(const string& argument) {
  static const std::set<string, std::less<>> words = {
      "-m32", "-m64", "-mx32", "-funsigned-char", "-fsigned-char", "-fshort-wchar", "-fshort-enums", "-fms-extensions"};
  return words.contains(argument) || argument.starts_with("-std=");
}

}  // namespace

string taken(CXString string) {
  const char* text = clang_getCString(string);
  std::string result = text == nullptr ? "" : text;
  clang_disposeString(string);
  return result;
}

ParsedUnit::ParsedUnit(string text, std::span<const string> arguments, std::vector<string> roots)
    : text_(std::move(text)), roots_(std::move(roots)) {
  if (text_.size() >= UINT32_MAX / 2) throw kpatch::Error("the preprocessed text is longer than 2 GB");
  index_ = clang_createIndex(0, 0);
  parse(arguments);
  read_errors();
  read_tokens();
  cut();
  collect();
}

ParsedUnit::~ParsedUnit() {
  if (unit_ != nullptr) clang_disposeTranslationUnit(unit_);
  if (index_ != nullptr) clang_disposeIndex(index_);
}

void ParsedUnit::parse(std::span<const string> arguments) {
  std::vector<string> options = {"-x", "cpp-output", "-w", "-ferror-limit=0", "-fms-extensions", "-std=gnu11"};
  for (const string& argument : arguments) {
    if (changes_reading(argument)) options.push_back(argument);
    if (argument == "-fplan9-extensions") options.emplace_back("-fms-extensions");
  }
  std::vector<const char*> words;
  for (const string& option : options) words.push_back(option.c_str());
  string readable = without_gcc_only(text_);
  for (bool again = false;; again = true) {
    CXUnsavedFile file{file_name, readable.data(), readable.size()};
    const CXErrorCode failed = clang_parseTranslationUnit2(index_, file_name, words.data(),
                                                           static_cast<int>(words.size()), &file, 1, 0, &unit_);
    if (failed != CXError_Success)
      throw kpatch::Error(fmt::format("libclang can't read C here (error {})", int{failed}));
    const std::vector<string> unknown = again ? std::vector<string>() : unknown_builtins();
    if (unknown.empty()) break;
    string front;
    for (const string& name : unknown) front += fmt::format("int {}();\n", name);
    readable.insert(0, front);
    text_.insert(0, string(front.size() - 1, ' ') + "\n");
    clang_disposeTranslationUnit(std::exchange(unit_, nullptr));
  }
  file_ = clang_getFile(unit_, file_name);
}

std::vector<string> ParsedUnit::unknown_builtins() const {
  std::set<string> names;
  for (unsigned i = 0; i < clang_getNumDiagnostics(unit_); ++i) {
    CXDiagnostic diagnostic = clang_getDiagnostic(unit_, i);
    const string message = taken(clang_getDiagnosticSpelling(diagnostic));
    clang_disposeDiagnostic(diagnostic);
    constexpr string_view unknown = "use of unknown builtin '";
    if (message.starts_with(unknown))
      names.insert(message.substr(unknown.size(), message.find('\'', unknown.size()) - unknown.size()));
  }
  return {names.begin(), names.end()};
}

void ParsedUnit::read_errors() {
  for (unsigned i = 0; i < clang_getNumDiagnostics(unit_); ++i) {
    CXDiagnostic diagnostic = clang_getDiagnostic(unit_, i);
    if (clang_getDiagnosticSeverity(diagnostic) >= CXDiagnostic_Error) {
      unsigned offset = 0;
      clang_getSpellingLocation(clang_getDiagnosticLocation(diagnostic), nullptr, nullptr, nullptr, &offset);
      errors_.push_back({offset, taken(clang_getDiagnosticSpelling(diagnostic))});
    }
    clang_disposeDiagnostic(diagnostic);
  }
}

// Directives and comments are no tokens: markers are gone, and what the compiler obeys is kept by itself.
void ParsedUnit::read_tokens() {
  CXToken* found = nullptr;
  unsigned count = 0;
  const CXSourceRange all =
      clang_getRange(clang_getLocationForOffset(unit_, file_, 0),
                     clang_getLocationForOffset(unit_, file_, static_cast<unsigned>(text_.size())));
  clang_tokenize(unit_, all, &found, &count);
  tokens_.reserve(count);
  uint32_t line_end = 0;
  for (unsigned i = 0; i < count; ++i) {
    unsigned begin = 0, end = 0;
    const CXSourceRange extent = clang_getTokenExtent(unit_, found[i]);
    clang_getSpellingLocation(clang_getRangeStart(extent), nullptr, nullptr, nullptr, &begin);
    clang_getSpellingLocation(clang_getRangeEnd(extent), nullptr, nullptr, nullptr, &end);
    if (begin < line_end || clang_getTokenKind(found[i]) == CXToken_Comment) continue;
    if (text_[begin] == '#' && (begin == 0 || text_[begin - 1] == '\n')) {
      line_end = static_cast<uint32_t>(std::min(text_.find('\n', begin), text_.size()));
      continue;
    }
    tokens_.push_back({begin, end});
  }
  clang_disposeTokens(unit_, found, count);
}

void ParsedUnit::cut() {
  std::set<uint32_t> bodies;  // where they end
  for_each_child(clang_getTranslationUnitCursor(unit_), [&](CXCursor cursor) {
    if (cursor.kind == CXCursor_FunctionDecl && clang_isCursorDefinition(cursor) != 0)
      bodies.insert(range_of(cursor).second);
  });
  SourceChunk chunk;
  int depth = 0;
  bool open = false;
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    const string_view token = text_of(tokens_[i]);
    if (!open) chunk = {tokens_[i].begin, 0, i, 0, {}};
    open = true;
    if (token == "(" || token == "[" || token == "{") ++depth;
    if (token == ")" || token == "]" || token == "}") --depth;
    if (depth != 0 || !(token == ";" || (token == "}" && bodies.contains(tokens_[i].end)))) continue;
    chunk.end = tokens_[i].end;
    chunk.last = i + 1;
    chunks_.push_back(std::exchange(chunk, {}));
    open = false;
  }
  for (size_t at = text_.find("#pragma"); at != string::npos; at = text_.find("#pragma", at + 1)) {
    if (at != 0 && text_[at - 1] != '\n') continue;
    const string line = text_.substr(at, text_.find('\n', at) - at);
    const std::vector<string_view> words = words_of(line);
    const bool silent = words.size() > 2 && words[1] == "GCC" && (words[2] == "diagnostic" || words[2] == "poison");
    if (!silent && !chunk_at(static_cast<uint32_t>(at))) pragmas_.emplace(at, line);
  }
}

void ParsedUnit::collect() {
  for_each_child(clang_getTranslationUnitCursor(unit_), [&](CXCursor cursor) {
    const auto chunk = chunk_at(offset_of(cursor));
    if (!chunk) return;
    chunks_[*chunk].cursors.push_back(cursor);
    const bool function = cursor.kind == CXCursor_FunctionDecl;
    if (!function && cursor.kind != CXCursor_VarDecl) return;
    SourceEntity& entity = entities_[taken(clang_getCursorSpelling(cursor))];
    entity.function = function;
    entity.declarations.push_back(cursor);
    // A register that has a name is no variable of memory.
    if (clang_Cursor_getStorageClass(cursor) == CX_SC_Register) return;
    const bool defines = function ? clang_isCursorDefinition(cursor) != 0
                                  : clang_Cursor_getStorageClass(cursor) != CX_SC_Extern ||
                                        clang_Cursor_isNull(clang_Cursor_getVarDeclInitializer(cursor)) == 0;
    if (defines) entity.definition = cursor;
  });
}

const SourceEntity* ParsedUnit::entity(string_view name) const {
  const auto found = entities_.find(name);
  return found == entities_.end() ? nullptr : &found->second;
}

std::optional<size_t> ParsedUnit::chunk_at(uint32_t offset) const {
  const auto after = std::ranges::upper_bound(chunks_, offset, {}, &SourceChunk::begin);
  if (after == chunks_.begin() || std::prev(after)->end <= offset) return std::nullopt;
  return static_cast<size_t>(std::prev(after) - chunks_.begin());
}

uint32_t ParsedUnit::token_at(uint32_t offset) const {
  return static_cast<uint32_t>(std::ranges::lower_bound(tokens_, offset, {}, &SourceToken::begin) - tokens_.begin());
}

uint32_t ParsedUnit::offset_of(const CXCursor& cursor) const {
  unsigned offset = 0;
  clang_getSpellingLocation(clang_getCursorLocation(cursor), nullptr, nullptr, nullptr, &offset);
  return offset;
}

std::pair<uint32_t, uint32_t> ParsedUnit::range_of(const CXCursor& cursor) const {
  const CXSourceRange extent = clang_getCursorExtent(cursor);
  unsigned begin = 0, end = 0;
  clang_getSpellingLocation(clang_getRangeStart(extent), nullptr, nullptr, nullptr, &begin);
  clang_getSpellingLocation(clang_getRangeEnd(extent), nullptr, nullptr, nullptr, &end);
  return {begin, end};
}

Location ParsedUnit::location_of(uint32_t offset) const {
  CXString name;
  unsigned line = 0;
  clang_getPresumedLocation(clang_getLocationForOffset(unit_, file_, offset), &name, &line, nullptr);
  string file = taken(name);
  for (const string& root : roots_) {
    if (!root.empty() && file.starts_with(root + "/")) {
      file.erase(0, root.size() + 1);
      break;
    }
  }
  while (file.starts_with("./")) file.erase(0, 2);
  return {.source = std::move(file), .line = static_cast<int>(line)};
}

}  // namespace kpatch
