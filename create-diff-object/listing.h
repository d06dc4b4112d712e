// Functions as instructions with their source lines, for a reader: both sides of each that goes into the module.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "create-diff-object/compare.h"
#include "create-diff-object/differ.h"
#include "create-diff-object/select.h"

namespace kpatch {

// Changed functions, then new ones, each with its cold part behind it; none where there is no disassembler (arch.h).
// References are called by the kernel's names.
std::vector<ListingReport> list_functions(const Pair& pair, const Selection& selection);

// The cold parts (`f.cold`) of each function that has some.
using ColdParts = std::multimap<SymbolId, SymbolId>;
ColdParts cold_parts(const Object& object);

// Bytes of a function, its cold parts and what stands before them (Object::extent) included.
uint64_t code_size(const Object& object, const ColdParts& parts, SymbolId function);

// As report.schema.json has it: a line names its source where that is another than the one before.
nlohmann::json to_json(const ListingReport& listing);

}  // namespace kpatch
