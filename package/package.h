// Packages of livepatches: what goes into one, and the RPM or Debian package that comes of it.
#pragma once

#include "package/builder-options.h"
#include "package/contents.h"
#include "package/deb.h"
#include "package/manifest.h"
#include "package/package-options.h"
#include "package/rpm.h"
#include "package/scriptlets.h"
#include "package/spec.h"
#include "support/scratch.h"
