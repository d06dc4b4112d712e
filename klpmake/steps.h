// klpmake's steps.
#pragma once

#include <filesystem>

#include "from-source/from-source.h"
#include "klpmake/conf.h"
#include "klpmake/folder.h"

namespace kpatch {

// A patch becomes _klpsrc.conf and the patched copies of its sources. source, debug: -s and -b.
void write_configuration(Workshop& workshop, const Folder& folder, const std::filesystem::path& source,
                         const std::filesystem::path& debug);
// The configuration becomes livepatch.c, a source for each patched file, Makefile and _klpmake.syms.
void write_sources(Workshop& workshop, const Folder& folder, const Conf& conf);
// The sources become NAME.ko.
void make_livepatch(Workshop& workshop, const Folder& folder, const Conf& conf);

}  // namespace kpatch
