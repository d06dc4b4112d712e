#include "arch/emulator.h"

#include <elf.h>

namespace kpatch {

namespace {

constexpr Emulator x86_64{
    .program = "qemu-system-x86_64",
    .cpu = "max",
    .console = "ttyS0",
    .second_port = "ttyS1",
    // Its check of the timer counts ticks, of which a slow machine's emulator gives too few in time:
    // "IO-APIC + timer doesn't work!" (arch/x86/kernel/apic/io_apic.c, check_timer()).
    .options = "no_timer_check",
    .disk_modules = "virtio_pci virtio_blk"};

}  // namespace

const Emulator* find_emulator(uint16_t machine) { return machine == EM_X86_64 ? &x86_64 : nullptr; }

}  // namespace kpatch
