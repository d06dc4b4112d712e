// The library's face, and what it says of a unit's functions and variables.
#include "extract/extract.h"

#include <utility>

#include "extract/parsed-unit.h"
#include "extract/subject.h"

namespace kpatch {
namespace {

bool is_constant(CXType type) {
  type = clang_getCanonicalType(type);
  for (CXType inner = clang_getArrayElementType(type); inner.kind != CXType_Invalid;
       inner = clang_getArrayElementType(type))
    type = clang_getCanonicalType(inner);
  return clang_isConstQualifiedType(type) != 0;
}

bool is_scalar(CXType type) {
  type = clang_getCanonicalType(type);
  return type.kind != CXType_Record && clang_getArrayElementType(type).kind == CXType_Invalid;
}

Subject subject_of(const ParsedUnit& unit, const CXCursor& cursor) {
  Subject subject;
  subject.name = taken(clang_getCursorSpelling(cursor));
  subject.symbol = taken(clang_Cursor_getMangling(cursor));
  // A label of the assembler's is marked as one that nothing is put before.
  if (subject.symbol.starts_with('\1')) subject.symbol.erase(0, 1);
  if (subject.symbol.empty()) subject.symbol = subject.name;
  subject.location = unit.location_of(unit.offset_of(cursor));
  subject.location.function = subject.name;
  if (cursor.kind == CXCursor_VarDecl) {
    const CXType type = clang_getCursorType(cursor);
    subject.kind = Subject::Kind::variable;
    subject.scalar_constant = is_constant(type) && is_scalar(type);
    subject.writable = !is_constant(type);
  }
  return subject;
}

}  // namespace

Subject subject_of_entity(const ParsedUnit& unit, const std::string& name, const SourceEntity& entity) {
  Subject subject = subject_of(unit, entity.definition ? *entity.definition : entity.declarations.front());
  subject.name = name;
  subject.internal = clang_getCursorLinkage(entity.declarations.front()) == CXLinkage_Internal;
  return subject;
}

Subject subject_of_local(const ParsedUnit& unit, const CXCursor& variable, const std::string& function) {
  Subject subject = subject_of(unit, variable);
  subject.function = function;
  subject.internal = true;
  subject.symbol = subject.name;
  return subject;
}

SourceUnit::SourceUnit(std::string text, std::span<const std::string> arguments, std::vector<std::string> roots)
    : parsed_(std::make_unique<ParsedUnit>(std::move(text), arguments, std::move(roots))) {}
SourceUnit::SourceUnit(SourceUnit&&) noexcept = default;
SourceUnit& SourceUnit::operator=(SourceUnit&&) noexcept = default;
SourceUnit::~SourceUnit() = default;

std::vector<Subject> SourceUnit::functions() const {
  std::vector<Subject> found;
  for (const SourceChunk& chunk : parsed_->chunks()) {
    for (const CXCursor& cursor : chunk.cursors) {
      if (cursor.kind != CXCursor_FunctionDecl || clang_isCursorDefinition(cursor) == 0) continue;
      const std::string name = taken(clang_getCursorSpelling(cursor));
      found.push_back(subject_of_entity(*parsed_, name, *parsed_->entity(name)));
    }
  }
  return found;
}

bool SourceUnit::variadic(std::string_view function) const {
  const SourceEntity* entity = parsed_->entity(function);
  return entity != nullptr && entity->function && clang_Cursor_isVariadic(entity->declarations.front()) != 0;
}

std::vector<Finding> SourceUnit::unread() const {
  std::vector<Finding> findings;
  for (const ParsedUnit::Error& error : parsed_->errors())
    findings.push_back({"unreadable",
                        Severity::refusal,
                        parsed_->location_of(error.offset),
                        "libclang can't read this: " + error.message,
                        {}});
  return findings;
}

Extraction SourceUnit::extract(const ExtractRequest& request) const { return extract_from(*parsed_, request); }

UnitChanges SourceUnit::changes(const SourceUnit& original, const SourceUnit& patched) {
  return changes_between(*original.parsed_, *patched.parsed_);
}

}  // namespace kpatch
