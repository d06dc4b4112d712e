// Files as bytes, ELF images, and writing them.
#pragma once

#include "elf/dwarf-session.h"
#include "elf/elf-file.h"
#include "elf/elf-handle.h"
#include "elf/file-bytes.h"
#include "elf/klp-elf.h"
#include "elf/mapped-file.h"
#include "elf/output-object.h"
#include "elf/relocation.h"
#include "elf/symbol-types.h"
