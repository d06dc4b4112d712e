#include "kpatch-build/shared-store.h"

#include "support/error.h"
#ifdef KPATCH_STORE
#include "store/store.h"
#endif

namespace kpatch {

#ifdef KPATCH_STORE
void use_store(Cache& cache, const Options& options, Console& console) {
  if (options.store.empty()) return;
  StorePlace place{options.store, options.store_read_only, options.store_key, options.store_certificate,
                   options.store_patience};
  require_sound(place);
  cache.use(shared_entries(std::move(place), console));
}
#else
void use_store(Cache& /*cache*/, const Options& options, Console& /*console*/) {
  if (!options.store.empty()) throw Error("--store: this kpatch-build was built without OpenSSL 3 and libcurl");
}
#endif

}  // namespace kpatch
