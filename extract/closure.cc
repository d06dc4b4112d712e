// What a function needs of its file
//
//     long do_it(struct file *f, struct inode *i) { count++; return f->f_pos + helper(i); }
//
//     struct file in full        a member is used
//     struct inode;              a pointer is passed on, and nobody looks inside
//     extern long count;         a variable that the kernel has: its text never is copied
//     helper                     copied, or declared: whoever asks decides
//
// From the wanted functions on, each declaration that is written in full is walked, and what it refers to is entered in
// turn. A reference leads to the declaration in whose text the referenced name stands (parsed-unit.h), so an enumerator
// brings its enum, a member its struct, and a name that shares its declaration with others brings them all. What is
// entered is written in the order of the original text: there everything stood before its use, so it does here. Structs
// that are only named come as "struct x;" at the top.
//
// A struct is needed in full where a member, its size or its value is used, which shows in the types of expressions and
// variables, in arithmetic of pointers, and in sizeof and offsetof.
//
// libclang tells nothing of the function that __attribute__((cleanup(f))) calls: that one is read off the tokens.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "extract/declaration.h"
#include "extract/extract.h"
#include "extract/parsed-unit.h"
#include "extract/subject.h"
#include "support/error.h"

namespace kpatch {
namespace {

using std::string;
using std::string_view;

CXType element_of(CXType type) {
  type = clang_getCanonicalType(type);
  for (CXType inner = clang_getArrayElementType(type); inner.kind != CXType_Invalid;
       inner = clang_getArrayElementType(type))
    type = clang_getCanonicalType(inner);
  return type;
}

bool counts_elements(const CXCursor& cursor) {
  if (cursor.kind == CXCursor_ArraySubscriptExpr) return true;
  switch (clang_getCursorBinaryOperatorKind(cursor)) {
    case CXBinaryOperator_Add:
    case CXBinaryOperator_Sub:
    case CXBinaryOperator_AddAssign:
    case CXBinaryOperator_SubAssign:
      return true;
    default:
      break;
  }
  switch (clang_getCursorUnaryOperatorKind(cursor)) {
    case CXUnaryOperator_PostInc:
    case CXUnaryOperator_PostDec:
    case CXUnaryOperator_PreInc:
    case CXUnaryOperator_PreDec:
      return true;
    default:
      return false;
  }
}

// sizeof and its kin are UnaryExpr, offsetof is unexposed.
bool looks_inside(CXCursorKind parent) {
  return parent == CXCursor_UnaryExpr || parent == CXCursor_UnexposedExpr || parent == CXCursor_CompoundLiteralExpr;
}

class Closure {
 public:
  Closure(const ParsedUnit& unit, const ExtractRequest& request) : unit_(unit), request_(request) {}

  Extraction run() {
    for (const string& name : request_.functions) want(name);
    while (!work_.empty()) {
      const size_t chunk = work_.back();
      work_.pop_back();
      for (const CXCursor& cursor : unit_.chunks()[chunk].cursors) walk_declaration(cursor);
      find_cleanups(chunk);
    }
    report_unread();
    return written();
  }

 private:
  enum class How : uint8_t { not_at_all, in_full, declared };

  struct Piece {
    uint32_t from = 0;  // what its comment names
    string text;
  };

  // --- the wanted functions ---

  void want(const string& name) {
    const SourceEntity* entity = unit_.entity(name);
    if (entity == nullptr || !entity->function || !entity->definition) {
      string advice;
      if (entity != nullptr && !entity->function) advice = "it is a variable";
      if (entity != nullptr && entity->function) advice = "it is declared, and has no body in this file";
      return refuse("no-function", {.function = name}, "there is no such function in the file", advice);
    }
    if (clang_Cursor_isVariadic(*entity->definition) != 0)
      return refuse("variadic", located(name, *entity->definition),
                    "takes a variable number of arguments, which can't be passed on to a replacement",
                    "change its callers, or what it calls");
    if (request_.on_wanted) request_.on_wanted(subject_of_entity(unit_, name, *entity));
    need_function(name);
  }

  Location located(const string& name, const CXCursor& cursor) const {
    Location location = unit_.location_of(unit_.offset_of(cursor));
    location.function = name;
    return location;
  }

  void refuse(string_view rule, Location location, string message, string advice = {}) {
    result_.findings.push_back(
        {string(rule), Severity::refusal, std::move(location), std::move(message), std::move(advice)});
  }

  // --- what is entered ---

  // A declaration with all its text. One that defines variables or a function is entered by need_variable() and
  // need_function(), which decide how.
  void need_text(const CXCursor& cursor) {
    const auto chunk = unit_.chunk_at(unit_.offset_of(cursor));
    if (!chunk || how_of(*chunk) != How::not_at_all) return;
    for (const CXCursor& other : unit_.chunks()[*chunk].cursors) {
      if (other.kind == CXCursor_VarDecl) {
        const string name = taken(clang_getCursorSpelling(other));
        const SourceEntity* entity = unit_.entity(name);
        if (clang_Cursor_getStorageClass(other) != CX_SC_Extern && entity != nullptr && entity->definition)
          return need_variable(name);
      }
    }
    in_full(*chunk);
  }

  How how_of(size_t chunk) const {
    const auto found = how_.find(chunk);
    return found == how_.end() ? How::not_at_all : found->second;
  }

  void in_full(size_t chunk) {
    if (how_of(chunk) != How::not_at_all) return;
    how_[chunk] = How::in_full;
    work_.push_back(chunk);
  }

  void need_function(const string& name) {
    const SourceEntity* entity = unit_.entity(name);
    if (entity == nullptr || name.starts_with("__builtin_") || !asked_.insert(name).second) return;
    Treatment fate;
    if (entity->definition && !request_.functions.contains(name)) {
      fate = request_.decide(subject_of_entity(unit_, name, *entity));
      (fate.copy ? result_.copied : result_.declared).push_back(name);
    }
    const uint32_t start = unit_.offset_of(entity->declarations.front());
    const bool made_static = fate.copy && fate.as_static && make_static(*entity);
    if (made_static) fate.label.clear();
    size_t prototypes = 0;
    for (const CXCursor& declaration : entity->declarations) {
      const bool has_body = clang_isCursorDefinition(declaration) != 0;
      const bool of_static = clang_Cursor_getStorageClass(declaration) == CX_SC_Static;
      if (!fate.copy && (has_body || of_static)) continue;
      const auto chunk = unit_.chunk_at(unit_.offset_of(declaration));
      if (!chunk) continue;
      in_full(*chunk);
      if (has_body) continue;
      ++prototypes;
      const SourceChunk& its = unit_.chunks()[*chunk];
      for (TextEdit& edit : without_aliases(unit_, its.first, its.last)) edits_.push_back(std::move(edit));
    }
    if (entity->definition && ((!fate.copy && prototypes == 0) || (fate.copy && !fate.label.empty()))) {
      const uint32_t brace = body_of(*entity->definition);
      const auto chunk = unit_.chunk_at(unit_.offset_of(*entity->definition));
      KPATCH_ASSERT(chunk.has_value());
      // A static function's own label would be one for all time: it has no need of one.
      const bool of_static = subject_of_entity(unit_, name, *entity).internal;
      if (!(fate.copy && of_static)) {
        add(start, unit_.offset_of(*entity->definition), prototype_of(unit_, unit_.chunks()[*chunk].first, brace));
        walk_signature(*entity->definition);
      }
      if (fate.copy && of_static) return;
    }
    if (!fate.label.empty())
      add(start, start, fmt::format("extern __typeof__({0}) {0} asm(\"{1}\");", name, fate.label));
  }

  // Gives each declaration of a function that word; false: one of them can't have it.
  bool make_static(const SourceEntity& entity) {
    std::vector<const SourceChunk*> chunks;
    for (const CXCursor& declaration : entity.declarations) {
      const auto chunk = unit_.chunk_at(unit_.offset_of(declaration));
      if (!chunk) return false;
      const SourceChunk& its = unit_.chunks()[*chunk];
      if (its.cursors.size() != 1 || !can_be_static(unit_, its.first, its.last)) return false;
      chunks.push_back(&its);
    }
    for (const SourceChunk* chunk : chunks)
      for (TextEdit& edit : as_static(unit_, chunk->first, chunk->last)) edits_.push_back(std::move(edit));
    return true;
  }

  // The token of a function's brace.
  uint32_t body_of(const CXCursor& definition) const {
    uint32_t at = 0;
    for_each_child(definition, [&](CXCursor child) {
      if (child.kind == CXCursor_CompoundStmt) at = unit_.range_of(child).first;
    });
    return unit_.token_at(at);
  }

  void walk_signature(const CXCursor& function) {
    for_each_child(function, [&](CXCursor child) {
      if (child.kind != CXCursor_CompoundStmt) walk(child, function);
    });
  }

  void need_variable(const string& name) {
    const SourceEntity* entity = unit_.entity(name);
    if (entity == nullptr || !asked_.insert(name).second) return;
    Treatment fate;
    if (entity->definition) {
      fate = request_.decide(subject_of_entity(unit_, name, *entity));
      (fate.copy ? result_.copied : result_.declared).push_back(name);
    }
    size_t declared = 0;
    for (const CXCursor& declaration : entity->declarations) {
      const bool of_another = clang_Cursor_getStorageClass(declaration) == CX_SC_Extern;
      if (!fate.copy && !of_another) continue;
      if (const auto chunk = unit_.chunk_at(unit_.offset_of(declaration))) in_full(*chunk), ++declared;
    }
    if (fate.copy) return;
    const uint32_t start = unit_.offset_of(entity->declarations.front());
    if (declared == 0) return declare_variables(*entity->definition, start, name, fate.label);
    if (!fate.label.empty())
      add(start, start, fmt::format("extern __typeof__({0}) {0} asm(\"{1}\");", name, fate.label));
  }

  // All variables of the declaration, since they share its text.
  void declare_variables(const CXCursor& definition, uint32_t start, const string& name, const string& label) {
    const auto chunk = unit_.chunk_at(unit_.offset_of(definition));
    KPATCH_ASSERT(chunk.has_value());
    if (how_of(*chunk) != How::not_at_all) return;
    how_[*chunk] = How::declared;
    const SourceChunk& its = unit_.chunks()[*chunk];
    std::map<uint32_t, DeclaredName> names;
    bool alone = true;
    for (const CXCursor& cursor : its.cursors) {
      if (cursor.kind != CXCursor_VarDecl) {
        walk_declaration(cursor);
        alone = false;
        continue;
      }
      const string other = taken(clang_getCursorSpelling(cursor));
      DeclaredName declared{{}, other == name ? label : string(), clang_getArraySize(clang_getCursorType(cursor))};
      if (other != name) {
        alone = false;
        if (asked_.insert(other).second) {
          const SourceEntity* entity = unit_.entity(other);
          const Treatment fate = request_.decide(subject_of_entity(unit_, other, *entity));
          if (fate.copy) refuse_mixed(other, cursor);
          result_.declared.push_back(other);
          declared.label = fate.label;
        }
      }
      names.emplace(unit_.offset_of(cursor), std::move(declared));
      walk_variable(cursor, true);
    }
    // Where types are defined in the same breath the place is theirs.
    const uint32_t at = alone ? start : its.begin;
    add(at, unit_.offset_of(definition),
        edited(unit_, its.begin, its.end, as_extern_variables(unit_, its.first, its.last, names)));
  }

  void refuse_mixed(const string& name, const CXCursor& cursor) {
    refuse("mixed-declaration", located(name, cursor),
           "shares its declaration with a variable that the kernel has, and has none there itself",
           "declare it by itself");
  }

  // A struct or union by its name, or with its members.
  void need_record(const CXCursor& record, bool whole) {
    const CXCursor definition = clang_getCursorDefinition(record);
    const bool known = clang_Cursor_isNull(definition) == 0;
    const string tag = taken(clang_getCursorSpelling(record));
    if (has_tag(record, tag) && (is_of_file(record) || !known))
      tags_.insert(fmt::format("{} {};", record.kind == CXCursor_UnionDecl ? "union" : "struct", tag));
    if (known && (whole || request_.whole_types)) need_text(definition);
  }

  // libclang gives `typedef struct { … } name` that name.
  bool has_tag(const CXCursor& record, const string& tag) const {
    const auto [begin, end] = unit_.range_of(record);
    for (uint32_t i = unit_.token_at(begin); i < unit_.tokens().size() && unit_.tokens()[i].begin < end; ++i) {
      const string_view word = unit_.text_of(unit_.tokens()[i]);
      if (word == tag) return true;
      if (word == "{") break;
    }
    return false;
  }

  void need_type(CXType type) {
    type = element_of(type);
    if (type.kind == CXType_Record) need_record(clang_getTypeDeclaration(type), true);
  }

  // --- walking ---

  void walk_declaration(const CXCursor& cursor) {
    if (cursor.kind == CXCursor_FunctionDecl && clang_isCursorDefinition(cursor) != 0) {
      function_ = taken(clang_getCursorSpelling(cursor));
      seen_here_.clear();
      need_type(clang_getCursorResultType(cursor));
    }
    walk(cursor, clang_getNullCursor());
    function_.clear();
  }

  void walk_variable(const CXCursor& cursor, bool without_value) {
    need_type(clang_getCursorType(cursor));
    const CXCursor value = clang_Cursor_getVarDeclInitializer(cursor);
    for_each_child(cursor, [&](CXCursor child) {
      if (!(without_value && clang_equalCursors(child, value) != 0)) walk(child, cursor);
    });
  }

  void walk(const CXCursor& cursor, const CXCursor& parent) {
    switch (cursor.kind) {
      case CXCursor_TypeRef:
        name_early(cursor);
        return refer_to_type(clang_getCursorReferenced(cursor), looks_inside(parent.kind));
      case CXCursor_DeclRefExpr:
        refer(cursor);
        break;
      case CXCursor_MemberRefExpr:
      case CXCursor_MemberRef:
        if (const CXCursor field = clang_getCursorReferenced(cursor); clang_Cursor_isNull(field) == 0) need_text(field);
        break;
      case CXCursor_DeclStmt:
        return walk_statement(cursor);
      case CXCursor_VarDecl:
        return walk_variable(cursor, false);
      case CXCursor_FieldDecl:
        need_type(clang_getCursorType(cursor));
        break;
      case CXCursor_ParmDecl:
        if (!function_.empty()) need_type(clang_getCursorType(cursor));
        break;
      default:
        break;
    }
    if (clang_isExpression(cursor.kind) != 0) {
      const CXType type = clang_getCursorType(cursor);
      need_type(type);
      if (counts_elements(cursor)) {
        need_pointee(type);
        for_each_child(cursor, [&](CXCursor child) { need_pointee(clang_getCursorType(child)); });
      }
    }
    for_each_child(cursor, [&](CXCursor child) { walk(child, cursor); });
  }

  void need_pointee(CXType type) {
    type = clang_getCanonicalType(type);
    if (type.kind == CXType_Pointer) need_type(clang_getPointeeType(type));
  }

  void refer_to_type(const CXCursor& type, bool whole) {
    if (clang_Cursor_isNull(type) != 0) return;
    if (type.kind == CXCursor_StructDecl || type.kind == CXCursor_UnionDecl) return need_record(type, whole);
    if (type.kind == CXCursor_TypedefDecl && whole) need_type(clang_getCursorType(type));
    const CXCursor definition = clang_getCursorDefinition(type);
    need_text(clang_Cursor_isNull(definition) != 0 ? type : definition);
  }

  // An enum may be named before its enumerators are known, as a struct is: it is a parameter of prototypes.
  void name_early(const CXCursor& reference) {
    const CXCursor type = clang_getCursorReferenced(reference);
    if (type.kind != CXCursor_EnumDecl) return;
    const CXCursor definition = clang_getCursorDefinition(type);
    const string tag = taken(clang_getCursorSpelling(type));
    if (clang_Cursor_isNull(definition) == 0 && unit_.offset_of(reference) > unit_.offset_of(definition)) return;
    if (has_tag(type, tag)) tags_.insert(fmt::format("enum {};", tag));
  }

  void refer(const CXCursor& reference) {
    const CXCursor target = clang_getCursorReferenced(reference);
    if (target.kind == CXCursor_FunctionDecl) return need_function(taken(clang_getCursorSpelling(target)));
    if (target.kind == CXCursor_EnumConstantDecl) return need_text(target);
    if (target.kind != CXCursor_VarDecl) return;
    const auto renamed = renamed_.find(unit_.offset_of(target));
    if (renamed != renamed_.end()) {
      const uint32_t at = unit_.offset_of(reference);
      edits_.push_back({at, unit_.tokens()[unit_.token_at(at)].end, renamed->second});
    } else if (clang_Cursor_hasVarDeclGlobalStorage(target) != 0 && is_of_file(target)) {
      need_variable(taken(clang_getCursorSpelling(target)));
    }
  }

  static bool is_of_file(const CXCursor& cursor) {
    const CXCursorKind parent = clang_getCursorSemanticParent(cursor).kind;
    return parent == CXCursor_TranslationUnit || parent == CXCursor_InvalidFile;
  }

  // Static variables of a function.
  void walk_statement(const CXCursor& statement) {
    std::map<uint32_t, DeclaredName> names;
    std::vector<CXCursor> copied;
    for_each_child(statement, [&](CXCursor child) {
      const bool of_static =
          child.kind == CXCursor_VarDecl && clang_Cursor_getStorageClass(child) == CX_SC_Static && !function_.empty();
      if (!of_static) return walk(child, statement);
      Subject subject = subject_of_local(unit_, child, function_);
      subject.occurrence = seen_here_[subject.name]++;
      const Treatment fate = request_.decide(subject);
      if (fate.copy) {
        copied.push_back(child);
        return walk_variable(child, false);
      }
      const string name = fmt::format("{}__{}_{}", subject.name, function_, subject.occurrence);
      renamed_.emplace(unit_.offset_of(child), name);
      result_.declared.push_back(fmt::format("{}.{}", function_, subject.name));
      names.emplace(unit_.offset_of(child),
                    DeclaredName{name, fate.label, clang_getArraySize(clang_getCursorType(child))});
      walk_variable(child, true);
    });
    if (names.empty()) return;
    for (const CXCursor& cursor : copied) refuse_mixed(taken(clang_getCursorSpelling(cursor)), cursor);
    const uint32_t first = unit_.token_at(unit_.range_of(statement).first);
    uint32_t last = first;
    int depth = 0;
    for (; last < unit_.tokens().size(); ++last) {
      const string_view word = unit_.text_of(unit_.tokens()[last]);
      if (word == "(" || word == "[" || word == "{") ++depth;
      if (word == ")" || word == "]" || word == "}") --depth;
      if (depth == 0 && word == ";") break;
    }
    for (TextEdit& edit : as_extern_variables(unit_, first, last + 1, names)) edits_.push_back(std::move(edit));
  }

  void find_cleanups(size_t index) {
    const SourceChunk& chunk = unit_.chunks()[index];
    for (uint32_t i = chunk.first; i + 2 < chunk.last; ++i) {
      const string_view word = unit_.text_of(unit_.tokens()[i]);
      if (word != "cleanup" && word != "__cleanup__") continue;
      if (unit_.text_of(unit_.tokens()[i + 1]) == "(") need_function(string(unit_.text_of(unit_.tokens()[i + 2])));
    }
  }

  // --- writing ---

  void add(uint32_t at, uint32_t from, string text) { pieces_.emplace(at, Piece{from, std::move(text)}); }

  // What libclang couldn't read it may have understood otherwise than the compiler does.
  void report_unread() {
    for (const ParsedUnit::Error& error : unit_.errors()) {
      const auto chunk = unit_.chunk_at(error.offset);
      if (chunk && how_of(*chunk) == How::not_at_all) continue;
      refuse("unreadable", unit_.location_of(error.offset), fmt::format("libclang can't read this: {}", error.message),
             "use kpatch-build, which compares what the compiler makes of it");
    }
  }

  Extraction written() {
    std::ranges::sort(result_.copied);
    std::ranges::sort(result_.declared);
    if (!result_.findings.empty()) return std::move(result_);
    for (const auto& [index, how] : how_) {
      const SourceChunk& chunk = unit_.chunks()[index];
      if (how == How::in_full) add(chunk.begin, chunk.begin, edited(unit_, chunk.begin, chunk.end, edits_));
    }
    for (const auto& [at, line] : unit_.pragmas()) add(at, at, line);
    string text = fmt::format("/*\n * {}\n */\n", request_.heading);
    for (const string& tag : tags_) text += tag + "\n";
    for (const auto& [at, piece] : pieces_) {
      const Location from = unit_.location_of(piece.from);
      text += fmt::format("\n/* from {}:{} */\n{}\n", from.source, from.line, piece.text);
    }
    if (!request_.alias_prefix.empty()) {
      text += '\n';
      for (const string& name : request_.functions)
        text += fmt::format("extern __typeof__({1}) {0}{1} __attribute__((__alias__(\"{1}\")));\n",
                            request_.alias_prefix, name);
    }
    result_.text = std::move(text);
    return std::move(result_);
  }

  const ParsedUnit& unit_;
  const ExtractRequest& request_;
  Extraction result_;
  std::map<size_t, How> how_;  // by chunk
  std::vector<size_t> work_;
  std::set<string> asked_;
  std::set<string> tags_;
  std::vector<TextEdit> edits_;
  std::multimap<uint32_t, Piece> pieces_;  // by where they stand in the original
  string function_;                        // whose body is walked
  std::map<string, unsigned> seen_here_;   // static variables of that body, by name
  std::map<uint32_t, string> renamed_;     // by the offset of the variable's name
};

}  // namespace

Extraction extract_from(const ParsedUnit& unit, const ExtractRequest& request) { return Closure(unit, request).run(); }

}  // namespace kpatch
