// Without libclang nothing is extracted.
#include "kpatch-build/source-way.h"
#include "support/error.h"

namespace kpatch {

void require_source_way() {
  throw Error("--from-source and --both need libclang, and this program was built without it");
}

Result<SourceWay> take_source(const Build&, const Base&, PatchedView&, const std::vector<PairReport>&) {
  require_source_way();
  return {};
}

}  // namespace kpatch
