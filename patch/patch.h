// Source patches: reading them, applying them, and looking at a tree through them.
#pragma once

#include "patch/apply.h"
#include "patch/early-return.h"
#include "patch/line-marks.h"
#include "patch/read.h"
#include "patch/reverse.h"
#include "patch/view.h"
