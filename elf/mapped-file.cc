// A mapped file that is cut off meanwhile
//
//     ld  (make, in another terminal)      kpatch-build
//     open("vmlinux", O_TRUNC)
//                                          compares bytes at 200 MB of its mapping: SIGBUS
//
// A mapping has no error to return, and reading 300 MB instead of mapping them would cost each run the memory. So all
// mappings stand in a table, and the handler of the signal looks the address up there. It can't throw, and whatever is
// computed from that place would be wrong: it writes the message and leaves. What the run had begun is then removed by the
// next one, as that of a killed run is. A SIGBUS that isn't ours goes the way it would have gone.
//
// Only async-signal-safe functions are called, and nothing is locked: a slot is filled before its `begin` is set, and
// emptied after it is taken back; that of the mapping that faults is in use, hence stays.
#include "elf/mapped-file.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "support/error.h"

namespace kpatch {

namespace {

struct Slot {
  std::atomic<uintptr_t> begin{0};  // 0: free
  std::atomic<size_t> size{0};
  std::atomic<const char*> message{nullptr};
};

// All that the handler can reach. Far fewer files than that are mapped at a time; the next one is read.
std::array<Slot, 1024> slots;
std::mutex slots_are_changed;
struct sigaction action_before;

void on_bus_error(int signal, siginfo_t* info, void* /*context*/) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const Slot& slot : slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address - begin >= slot.size.load(std::memory_order_relaxed)) continue;
    const char* message = slot.message.load(std::memory_order_relaxed);
    if (write(STDERR_FILENO, message, std::strlen(message)) < 0) _exit(exit_error);
    _exit(exit_error);
  }
  sigaction(signal, &action_before, nullptr);  // on return the instruction runs again
}

void install_handler() {
  static const bool once = [] {
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, &action_before) == 0;
  }();
  (void)once;
}

}  // namespace

std::string changed_message(const std::filesystem::path& path) {
  return fmt::format("'{}' changed while it was read; start again when nothing writes to it", path.string());
}

MappedFile MappedFile::of(int file, size_t size, const std::filesystem::path& path) {
  MappedFile mapped;
  install_handler();
  const std::string message = fmt::format("{}: {}\n", program_invocation_short_name, changed_message(path));
  const std::lock_guard<std::mutex> guard(slots_are_changed);
  size_t slot = 0;
  while (slot < slots.size() && slots[slot].begin.load(std::memory_order_relaxed) != 0) ++slot;
  if (slot == slots.size()) {
    errno = ENOMEM;
    return mapped;
  }
  void* start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  if (start == MAP_FAILED) return mapped;
  slots[slot].message.store(::strdup(message.c_str()), std::memory_order_relaxed);
  slots[slot].size.store(size, std::memory_order_relaxed);
  slots[slot].begin.store(reinterpret_cast<uintptr_t>(start), std::memory_order_release);
  mapped.start_ = start;
  mapped.size_ = size;
  mapped.slot_ = slot;
  return mapped;
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(start_, other.start_);
  std::swap(size_, other.size_);
  std::swap(slot_, other.slot_);
  return *this;
}

MappedFile::~MappedFile() {
  if (start_ == nullptr) return;
  const std::lock_guard<std::mutex> guard(slots_are_changed);
  const char* message = slots[slot_].message.load(std::memory_order_relaxed);
  slots[slot_].begin.store(0, std::memory_order_release);
  ::munmap(start_, size_);
  std::free(const_cast<char*>(message));
}

void MappedFile::leave_memory() const {
  if (start_ != nullptr) ::madvise(start_, size_, MADV_DONTNEED);
}

}  // namespace kpatch
