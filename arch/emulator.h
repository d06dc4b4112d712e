// How a kernel of an architecture boots in QEMU.
#pragma once

#include <cstdint>
#include <string_view>

namespace kpatch {

struct Emulator {
  std::string_view program{};
  std::string_view cpu{};           // with QEMU's own emulation
  std::string_view console{};       // the kernel's name of the first serial port …
  std::string_view second_port{};   // … and of the second
  std::string_view options{};       // for the kernel's command line
  std::string_view disk_modules{};  // without which it sees no disk of QEMU's, by the kernel's names
};

// nullptr: nobody has written it yet.
const Emulator* find_emulator(uint16_t machine);

}  // namespace kpatch
