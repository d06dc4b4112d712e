// Where findings point: names of an object's symbols, and their lines by DWARF.
#pragma once

#include <vector>

#include "create-diff-object/object.h"
#include "support/finding.h"

namespace kpatch {

// A symbol, and the section that it lies in.
Location place_of(const Object& object, SymbolId id);

// Enters file (as the compiler was told) and line where DWARF has them: of the place in the code, with the lines of the
// function itself where something was inlined there; else of what declares the function or variable. Findings name
// sections, so an object where several symbols fit gives none. What the patched object doesn't have is looked up in the
// original one.
void add_lines(std::vector<Finding>& findings, const Object& patched, const Object& orig);

}  // namespace kpatch
