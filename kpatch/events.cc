// Who loaded what, and when
//
// The kernel remembers none of it: IMA logs a file once a boot, and a livepatch that is gone leaves no trace in sysfs. So
// each load, unload and refusal is a line of its own:
//
//     {"time":"2026-11-27T00:10:00Z","event":"load","module":"livepatch_fix","digest":"sha256:…","outcome":"done", …}
//
// A line goes out in one write to a file that is open for appending: lines of two runs don't mix, and none is half there.
// A log that can't be written keeps nobody from patching a kernel; it is said on stderr.
#include "kpatch/events.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <system_error>

#include "support/files.h"
#include "support/sha256.h"

namespace kpatch {

std::string utc(long long seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

std::string event_line(const Event& event, const System& system, long long now) {
  const char* const outcomes[] = {"done", "refused", "taken back", "between"};
  nlohmann::ordered_json line = {{"time", utc(now)}, {"event", event.command}, {"module", event.module}};
  if (!event.release.empty()) line["release"] = event.release;
  if (!event.file.empty()) {
    line["file"] = event.file.string();
    if (const std::string bytes = read_file_if_any(event.file); !bytes.empty())
      line["digest"] = "sha256:" + sha256_of(bytes);
  }
  if (!event.build_id.empty()) line["build_id"] = hex_of(event.build_id);
  line["kernel"] = system.release();
  line["boot"] = system.boot_id();
  line["user"] = geteuid();
  line["outcome"] = outcomes[event.change.outcome];
  line["message"] = event.change.message;
  line["details"] = event.change.details;
  line["replaced"] = event.change.replaced;
  line["stalled"] = event.change.stalled.size();
  line["seconds"] = event.change.seconds;
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string append_event(const std::filesystem::path& log, const std::string& line) {
  std::error_code error;
  std::filesystem::create_directories(log.parent_path(), error);  // that it failed shows below
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return fmt::format("can't write {}: {}", log.string(), std::strerror(errno));
  const std::string whole = line + "\n";
  const ssize_t written = ::write(fd, whole.data(), whole.size());
  const int failure = written == static_cast<ssize_t>(whole.size()) ? 0 : written < 0 ? errno : ENOSPC;
  close(fd);
  return failure == 0 ? std::string() : fmt::format("can't write {}: {}", log.string(), std::strerror(failure));
}

}  // namespace kpatch
