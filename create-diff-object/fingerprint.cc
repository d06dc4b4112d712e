// Twins among clones are told by it (correlate.cc), and entries of sections that the kernel walks (account.cc):
//
//   f.constprop.0:  call printk; mov $.LC3, %rdi        bytes, "at 0: printk", "at 8: "%s failed""
//
// Offsets of relocated fields count from the run's start, and what is referred to is the caller's to say, since numbers
// of symbols and places of strings differ between two objects that mean the same.
#include "create-diff-object/fingerprint.h"

#define XXH_STATIC_LINKING_ONLY  // for a hash state of known size
#include <xxhash.h>

namespace kpatch {

struct Fingerprint::State {
  XXH3_state_t hash;
};

Fingerprint::Fingerprint() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->hash); }
Fingerprint::~Fingerprint() = default;

void Fingerprint::add(uint64_t number) { XXH3_64bits_update(&state_->hash, &number, sizeof number); }

void Fingerprint::add_text(std::string_view text) {
  add(text.size());
  XXH3_64bits_update(&state_->hash, text.data(), text.size());
}

void Fingerprint::add_bytes(const Object& object, SectionId section, Object::Extent extent,
                            const std::function<void(const Relocation&)>& refer) {
  const auto contents = object.section(section).contents;
  if (!contents.empty()) XXH3_64bits_update(&state_->hash, contents.data() + extent.begin, extent.end - extent.begin);
  for (const Relocation& r : object.relocations(section, extent.begin, extent.end)) {
    add(r.offset - extent.begin);
    XXH3_64bits_update(&state_->hash, &r.type, sizeof r.type);
    refer(r);
  }
}

uint64_t Fingerprint::value() const { return XXH3_64bits_digest(&state_->hash); }

}  // namespace kpatch
