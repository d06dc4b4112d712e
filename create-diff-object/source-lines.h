// What an object's DWARF tells of its source: from a place in the code to file and line, and whose the static locals
// are.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "create-diff-object/object.h"

namespace kpatch {

struct SourcePlace {
  std::string file;                  // as the compiler was told
  int line = 0;                      // from 1
  std::vector<std::string> inlined;  // functions inlined there, innermost first
};

class SourceLines {
 public:
  // The object must outlive it. One without DWARF, or for a machine that libdw doesn't know, gives no places.
  explicit SourceLines(const Object& object);
  ~SourceLines();
  SourceLines(const SourceLines&) = delete;
  SourceLines& operator=(const SourceLines&) = delete;

  std::optional<SourcePlace> at(SectionId section, uint64_t offset) const;
  // The same without what is inlined, which costs far more to find.
  std::optional<SourcePlace> position(SectionId section, uint64_t offset) const;
  // The line alone, and the lines of the calls that were inlined there, innermost first. nothing, or empty: not known.
  std::optional<int> line(SectionId section, uint64_t offset) const;
  std::vector<int> call_lines(SectionId section, uint64_t offset) const;

  // Where the variable that begins there is declared.
  std::optional<SourcePlace> variable(SectionId section, uint64_t offset) const;

  // The function in whose source each static local stands, by the variable's section and offset there. That is where
  // it was written, not where the function was inlined to.
  std::map<std::pair<SectionId, uint64_t>, std::string> static_locals() const;

  // Calls act for each compile unit; not at all without DWARF.
  void each_unit(const std::function<void(Dwarf_Die&)>& act) const;

 private:
  struct Data;
  struct Row;
  std::optional<Row> row(SectionId section, uint64_t offset) const;
  void each_variable(const std::function<void(Dwarf_Die&, const char*, Dwarf_Addr)>& act) const;
  static void each_inlined(const Row& row, const std::function<void(Dwarf_Die&)>& act);
  std::unique_ptr<Data> data_;
};

}  // namespace kpatch
