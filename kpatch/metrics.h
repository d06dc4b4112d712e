// What a monitor reads.
#pragma once

#include <string>

#include "kpatch/summary.h"
#include "kpatch/system.h"

namespace kpatch {

// OpenMetrics text, which the text file collector of Prometheus' node_exporter takes as well. now: seconds since 1970.
std::string metrics_of(const Summary& summary, const System& system, long long now);

}  // namespace kpatch
