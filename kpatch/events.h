// The log of what was done to the kernel: one line of JSON an event.
#pragma once

#include <filesystem>
#include <string>

#include "kpatch/change.h"
#include "kpatch/system.h"

namespace kpatch {

inline constexpr const char* event_log = "/var/log/kpatch/events.json";

struct Event {
  std::string command;         // "load", "unload"
  std::string module;          // its name, or what was given for it
  std::string release;         // that it is for; empty: not known
  std::filesystem::path file;  // empty: none is known
  std::string build_id;        // its bytes; may be empty
  Change change;
};

// "2026-11-27T00:10:00Z"
std::string utc(long long seconds);

// One line, without a newline.
std::string event_line(const Event& event, const System& system, long long now);
// Appends it whole, and makes the folder. Empty, or why that failed: the event has happened all the same.
std::string append_event(const std::filesystem::path& log, const std::string& line);

}  // namespace kpatch
