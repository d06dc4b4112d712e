// A module that arrived is loaded, or the machine is left as it was.
//
//     digest ─► signature ─► livepatch, release, replace ─► event log ─► PCR ─► kpatch load ─► health ─► in effect
//         └ 400     └ 403               └ 422                  └ 507     └ 500      └ 500         └ put back, 500
//
// The signature is verified before anything of the file is read, against certificates of the agent's own, so that a kernel
// that takes unsigned modules takes none from here. Measuring comes before loading: what was measured and not loaded harms
// nobody, what was loaded and not measured hides. The event log has a line for each, on the disk before the next step; the
// registers of a TPM hold what is replayed from its lines since the machine started.
//
// Loading is kpatch's: it waits for the transition, and takes it back when it doesn't end. A livepatch replaces the one
// before in one transition, and when the health command fails, that one replaces it in turn; nothing is unloaded first.
// What is in effect is known by its digest: the same bytes twice are loaded once.
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "agent/agent.h"
#include "kpatch/kpatch.h"
#include "support/error.h"
#include "support/files.h"
#include "support/sha256.h"
#include "support/text.h"

namespace kpatch {

struct AgentService::Candidate {
  std::filesystem::path file;
  std::string bytes;
  std::string sha256;
  std::string name;  // empty as long as it isn't trusted
};

struct AgentService::Current {
  std::string name, sha256;
};

struct AgentService::Before {
  std::optional<Current> ours;
  std::vector<std::string> names;  // of all that are loaded
};

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::string_view;

constexpr int most_waiting = 4;

std::string boot_id() { return std::string(trimmed(read_file_if_any("/proc/sys/kernel/random/boot_id"))); }

std::string running_release() {
  utsname names{};
  return uname(&names) == 0 ? names.release : "";
}

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

// A line that is on the disk when this returns.
void append_line(const fs::path& file, const std::string& line) {
  const int fd = open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  const auto size = static_cast<ssize_t>(line.size());
  const bool written = fd >= 0 && write(fd, line.data(), line.size()) == size && fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!written) throw Error(fmt::format("{}: {}", file.string(), std::strerror(error)));
}

bool is_non_replace(const ModuleFile& module) {
  return std::ranges::any_of(module.info, [](const auto& field) {
    const auto words = words_of(field.second);
    return field.first == "kpatch_options" && std::ranges::count(words, "--non-replace") > 0;
  });
}

}  // namespace

AgentService::AgentService(AgentConfig config) : config_(std::move(config)), executor_(config_.state / "commands.log") {
  // What a run before this one was receiving when it was killed.
  remove_tree(incoming());
  fs::create_directories(incoming());
  fs::create_directories(config_.state / "loaded");
  fs::permissions(config_.state, fs::perms::owner_all);
}

AgentAnswer AgentService::answer(unsigned status, std::string outcome, std::string text,
                                 const Candidate& candidate) const {
  AgentAnswer answer{status, std::move(text), {}};
  answer.report = {{"outcome", std::move(outcome)}, {"message", answer.text}, {"sha256", candidate.sha256}};
  if (!candidate.name.empty()) answer.report["name"] = candidate.name;
  return answer;
}

void AgentService::log_event(string_view event, const Candidate& candidate) const {
  json line = {{"time", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))},
               {"boot_id", boot_id()},
               {"event", event},
               {"sha256", candidate.sha256},
               {"name", candidate.name}};
  if (config_.pcr) line["pcr"] = *config_.pcr;
  if (!config_.rtmr.empty()) {
    line["rtmr"] = config_.rtmr.string();
    line["sha384"] = sha384_of(candidate.bytes);
  }
  append_line(config_.state / "events.jsonl", dump(line) + "\n");
}

CommandResult AgentService::run_kpatch(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), config_.kpatch);
  return executor_.run({.argv = std::move(arguments), .directory = {}, .environment = {}});
}

// As `kpatch list` has it.
json AgentService::loaded() {
  const CommandResult result = run_kpatch({"list", "--json"});
  const size_t begin = result.output.find('{');
  const json list = begin == std::string::npos ? json()
                                               : json::parse(result.output.begin() + static_cast<long>(begin),
                                                             result.output.end(), nullptr, false);
  if (!result.ok() || !list.is_object() || !list.contains("loaded") || !list["loaded"].is_array())
    throw Error(fmt::format("{} list --json: {}", config_.kpatch, trimmed(result.output)));
  return list["loaded"];
}

// What this agent loaded, if it is in effect still.
std::optional<AgentService::Current> AgentService::current(const json& loaded) const {
  const json kept = json::parse(read_file_if_any(config_.state / "current.json"), nullptr, false);
  if (!kept.is_object() || kept.value("boot_id", json()) != json(boot_id())) return std::nullopt;
  const json name = kept.value("name", json()), sha256 = kept.value("sha256", json());
  for (const json& patch : loaded)
    if (name.is_string() && sha256.is_string() && patch.is_object() && patch.value("name", json()) == name &&
        patch.value("state", json()) == json("enabled"))
      return Current{name.get<std::string>(), sha256.get<std::string>()};
  return std::nullopt;
}

// The file first, under a name of its own: what current.json names is always that file.
void AgentService::remember(const Candidate& candidate) const {
  write_file(kept_file(candidate.sha256), candidate.bytes);
  write_file(config_.state / "current.json",
             dump({{"name", candidate.name}, {"sha256", candidate.sha256}, {"boot_id", boot_id()}}) + "\n");
  for (const fs::directory_entry& entry : entries_of(kept_file("").parent_path()))
    if (entry.path() != kept_file(candidate.sha256)) remove_tree(entry.path());
}

fs::path AgentService::kept_file(const std::string& sha256) const {
  return config_.state / "loaded" / (sha256 + ".ko");
}

std::optional<AgentAnswer> AgentService::unsuitable(Candidate& candidate) const {
  const Verdict verdict = verify_module(candidate.bytes, config_.trusted);
  if (verdict.state != SignatureState::good)
    return answer(403, "refused", fmt::format("the module {}", verdict.message), candidate);
  ModuleFile module;
  try {
    module = read_module(candidate.file);
  } catch (const Error& error) {
    // The file's name here tells the sender nothing.
    std::string why = error.what();
    if (const std::string prefix = candidate.file.string() + ": "; why.starts_with(prefix)) why.erase(0, prefix.size());
    return answer(422, "refused", fmt::format("the module can't be loaded: {}", why), candidate);
  }
  candidate.name = module.name;
  if (!module.livepatch) return answer(422, "refused", "the module is no livepatch", candidate);
  if (module.release != running_release())
    return answer(422, "refused", fmt::format("the module is for {}, and {} runs", module.release, running_release()),
                  candidate);
  if (is_non_replace(module) && !config_.non_replace)
    return answer(422, "refused", "the module doesn't replace earlier livepatches (it was built with --non-replace)",
                  candidate);
  return std::nullopt;
}

std::optional<AgentAnswer> AgentService::measure(const Candidate& candidate) {
  try {
    log_event("measured", candidate);
  } catch (const Error& error) {
    return answer(507, "refused", fmt::format("it can't be measured, and isn't loaded: {}", error.what()), candidate);
  }
  if (!config_.rtmr.empty()) {
    try {
      extend_rtmr(candidate);
    } catch (const Error& error) {
      return answer(500, "failed", fmt::format("{}, and the module isn't loaded", error.what()), candidate);
    }
  }
  if (!config_.pcr) return std::nullopt;
  const CommandResult result =
      executor_.run({.argv = {config_.pcr_program, fmt::format("{}:sha256={}", *config_.pcr, candidate.sha256)},
                     .directory = {},
                     .environment = {}});
  if (result.ok()) return std::nullopt;
  return answer(
      500, "failed",
      fmt::format("PCR {} can't be extended, and the module isn't loaded: {}", *config_.pcr, trimmed(result.output)),
      candidate);
}

// The register is a file of sysfs, and extended by what is written there, whole and at once.
void AgentService::extend_rtmr(const Candidate& candidate) const {
  const std::string digest = bytes_of_hex(sha384_of(candidate.bytes));
  const int file = open(config_.rtmr.c_str(), O_WRONLY | O_CLOEXEC);
  const ssize_t written = file < 0 ? -1 : write(file, digest.data(), digest.size());
  const int error = errno;
  if (file >= 0) close(file);
  if (written != static_cast<ssize_t>(digest.size()))
    throw Error(fmt::format("{} can't be extended: {}", config_.rtmr.string(),
                            written < 0 ? std::strerror(error) : "it takes other digests"));
}

AgentAnswer AgentService::put_back(const Candidate& candidate, const Before& before, std::string why) {
  const std::string wait = std::to_string(config_.wait.count());
  const CommandResult result = before.ours
                                   ? run_kpatch({"load", "--wait", wait, kept_file(before.ours->sha256).string()})
                                   : run_kpatch({"unload", "--wait", wait, candidate.name});
  std::string runs = before.ours ? before.ours->name : "the kernel's own code";
  AgentAnswer failed =
      result.ok()
          ? answer(500, "put back", fmt::format("{}; {} runs again", why, runs), candidate)
          : answer(500, "failed", fmt::format("{}, and {} couldn't be put back: {}", why, runs, trimmed(result.output)),
                   candidate);
  if (!before.ours && !before.names.empty()) {
    failed.text += fmt::format(". What ran before, {}, wasn't loaded by this agent, which has no file of it",
                               joined(before.names, ", "));
    failed.report["message"] = failed.text;
    failed.report["lost"] = before.names;
  }
  log_event(result.ok() ? "put back" : "not put back", candidate);
  return failed;
}

AgentAnswer AgentService::load(const Candidate& candidate) {
  Before before;
  const json patches = loaded();
  before.ours = current(patches);
  for (const json& patch : patches)
    if (patch.is_object() && patch.contains("name") && patch["name"].is_string())
      before.names.push_back(patch["name"].get<std::string>());
  if (before.ours && before.ours->sha256 == candidate.sha256)
    return answer(200, "loaded", fmt::format("{} is in effect already", candidate.name), candidate);
  if (std::optional<AgentAnswer> failed = measure(candidate)) return std::move(*failed);
  const CommandResult result =
      run_kpatch({"load", "--wait", std::to_string(config_.wait.count()), candidate.file.string()});
  if (!result.ok()) {
    log_event("not loaded", candidate);
    return answer(500, "failed", std::string(trimmed(result.output)), candidate);
  }
  if (!config_.health.empty()) {
    const CommandResult health =
        executor_.run({.argv = {config_.health}, .directory = {}, .environment = {{"KPATCH_MODULE", candidate.name}}});
    if (!health.ok())
      return put_back(candidate, before,
                      fmt::format("{} was loaded, and {} ended with {} ({})", candidate.name, config_.health,
                                  health.status, trimmed(health.output)));
  }
  try {
    remember(candidate);
    log_event("loaded", candidate);
  } catch (const Error& error) {
    // It couldn't be put back after the next one.
    return put_back(candidate, before,
                    fmt::format("{} was loaded, and can't be kept: {}", candidate.name, error.what()));
  }
  return answer(200, "loaded",
                config_.pcr ? fmt::format("Livepatch successfully applied and measured into PCR {}.", *config_.pcr)
                            : "Livepatch successfully applied and measured.",
                candidate);
}

AgentAnswer AgentService::submit(const fs::path& file, const std::string& claimed) {
  Candidate candidate{.file = file, .bytes = read_file(file), .sha256 = {}, .name = {}};
  candidate.sha256 = sha256_of(candidate.bytes);
  if (!claimed.empty() && claimed != candidate.sha256)
    return answer(400, "refused", "the module isn't the one whose digest was sent with it", candidate);
  if (std::optional<AgentAnswer> refused = unsuitable(candidate)) return std::move(*refused);
  // Each of them holds a connection, and its module in memory.
  struct Waiting {
    explicit Waiting(std::atomic<int>& of) : count(of), before(of++) {}
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() { --count; }
    std::atomic<int>& count;
    int before;
  } const waiting(waiting_);
  if (waiting.before >= most_waiting) return answer(503, "refused", "other modules are being loaded", candidate);
  const std::lock_guard lock(one_at_a_time_);
  return load(candidate);
}

json AgentService::state() {
  json state = {{"agent", "kpatch-agent"}, {"version", KPATCH_VERSION}, {"release", running_release()}};
  const std::unique_lock lock(one_at_a_time_, std::try_to_lock);
  state["busy"] = !lock.owns_lock();
  state["sha256"] = nullptr;
  if (!lock.owns_lock()) return state;
  state["loaded"] = loaded();
  if (const auto known = current(state["loaded"])) {
    state["sha256"] = known->sha256;
    state["name"] = known->name;
  }
  return state;
}

json AgentService::golden_measurement(string_view kind) const {
  std::string value(32, '\0');
  json digests = json::array();
  const std::string events = read_file_if_any(config_.state / "events.jsonl");
  for (const string_view line : lines_of(events)) {
    const json event = json::parse(line, nullptr, false);
    if (!event.is_object() || event.value("event", json()) != json("measured") ||
        event.value("boot_id", json()) != json(boot_id()))
      continue;
    const json digest = event.value("sha256", json());
    const std::string bytes = digest.is_string() ? bytes_of_hex(digest.get<std::string>()) : "";
    if (bytes.size() != 32) continue;
    digests.push_back(digest);
    value = bytes_of_hex(sha256_of(value + bytes));
  }
  if (kind == "onchain") return {{"golden_measurement", "0x" + hex_of(value)}};
  json measurement = {{"bank", "sha256"}, {"value", hex_of(value)}, {"livepatches", std::move(digests)}};
  if (config_.pcr) measurement["pcr"] = *config_.pcr;
  return {{"golden_measurement", std::move(measurement)}};
}

}  // namespace kpatch
