// What is asked about a function or variable of a unit.
#pragma once

#include <string>

#include "extract/extract.h"
#include "extract/parsed-unit.h"

namespace kpatch {

Subject subject_of_entity(const ParsedUnit& unit, const std::string& name, const SourceEntity& entity);
// A static variable of a function's body.
Subject subject_of_local(const ParsedUnit& unit, const CXCursor& variable, const std::string& function);

Extraction extract_from(const ParsedUnit& unit, const ExtractRequest& request);
UnitChanges changes_between(const ParsedUnit& original, const ParsedUnit& patched);

}  // namespace kpatch
