// Files as bytes, ELF images, and writing them.
#pragma once

#include "elf/elf-handle.h"
#include "elf/file-bytes.h"
#include "elf/klp-elf.h"
#include "elf/output-object.h"
#include "elf/relocation.h"
#include "elf/symbol-types.h"
