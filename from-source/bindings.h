// What the sources of a livepatch call the kernel's symbols, each name with one meaning.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "from-source/syms.h"

namespace kpatch {

class Bindings {
 public:
  // taken: names that mean something else wherever they stand: what the livepatch itself defines. shared: those of them
  // that one of its sources has for the others.
  explicit Bindings(std::set<std::string> taken, std::set<std::string> shared = {})
      : taken_(std::move(taken)), shared_(std::move(shared)) {}

  // Whether the livepatch itself has what a source leaves undefined.
  bool shares(const std::string& name) const { return shared_.contains(name); }

  // The placeholder of a symbol for the code of `patched`: its name; where that has another meaning, the name with
  // `stem`. own_name: the name must do, since no text of ours declares it.
  std::string bind(const LivepatchSymbol& symbol, const std::string& patched, const std::string& stem,
                   bool own_name = false);
  // That an export keeps its name: no local symbol may be called so.
  void reserve(const std::string& name) { taken_.insert(name); }
  bool knows(const std::string& placeholder) const { return bound_.contains(placeholder); }
  std::vector<LivepatchSymbol> symbols() const;  // sorted by placeholder

 private:
  struct Bound {
    LivepatchSymbol symbol;
    std::string patched;
  };
  std::set<std::string> taken_, shared_;
  std::map<std::string, Bound> bound_;
};

}  // namespace kpatch
