// Whether two runs of bytes, of one object or of two, say the same: a digest of the bytes and of what they refer to.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "create-diff-object/object.h"

namespace kpatch {

class Fingerprint {
 public:
  Fingerprint();
  Fingerprint(const Fingerprint&) = delete;
  Fingerprint& operator=(const Fingerprint&) = delete;
  ~Fingerprint();
  void add(uint64_t number);
  void add_text(std::string_view text);
  // The bytes of the section in the extent, where it has any, and each relocation there: its offset in the extent, its
  // type, and what refer adds of its target.
  void add_bytes(const Object& object, SectionId section, Object::Extent extent,
                 const std::function<void(const Relocation&)>& refer);
  uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kpatch
