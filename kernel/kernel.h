// Which kernel: finding its files, and preparing what a patch is built against.
#pragma once

#include "kernel/base-maker.h"
#include "kernel/base.h"
#include "kernel/cache.h"
#include "kernel/config.h"
#include "kernel/distro/debug-package.h"
#include "kernel/distro/distro.h"
#include "kernel/distro/kept-packages.h"
#include "kernel/distro/package-folder.h"
#include "kernel/distro/unpacked.h"
#include "kernel/make.h"
#include "kernel/shipped-binaries.h"
