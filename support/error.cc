#include "support/error.h"

#include <cstdio>
#include <cstdlib>

namespace kpatch {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "internal error: '%s' does not hold (%s:%d); please report this\n", expression, file, line);
  std::abort();
}

}  // namespace kpatch
