// Talking to the kernel's own build: its commands, what they read, and modules made by it.
#pragma once

#include "kbuild/affected.h"
#include "kbuild/build-module.h"
#include "kbuild/commands.h"
#include "kbuild/compile-arguments.h"
#include "kbuild/declarations.h"
#include "kbuild/full-build.h"
#include "kbuild/generated-files.h"
#include "kbuild/includes.h"
#include "kbuild/make-output.h"
#include "kbuild/mentions.h"
#include "kbuild/version-generator.h"
#include "kbuild/why-not-built.h"
