// One cell
//
// Whoever runs `kpatch-fleet cell FILE` is a worker: ninja on this machine, srun on a node, ssh on a host. What it needs
// stands in FILE; patches are those of the digests there, or nothing is done.
//
// A result is a folder that comes into being by a rename, so that it is there as a whole or not at all, whenever the worker
// dies. Two workers on one cell: the second finds the first one's folder, and its modules must be the same bytes.
//
// A cell that can't be done leaves a failure with its reason, and exits 1. One that leaves neither result nor failure had
// its worker die, and is run again by somebody else.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "arch/arch.h"
#include "fleet/fleet.h"
#include "kbuild/kbuild.h"
#include "kernel/kernel.h"
#include "patch/patch.h"
#include "support/command.h"
#include "support/data.h"
#include "support/digest.h"
#include "support/error.h"
#include "support/executor.h"
#include "support/files.h"
#include "support/sha256.h"
#include "support/signals.h"
#include "support/source-date.h"
#include "support/text.h"

namespace kpatch {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr size_t words_kept = 4000;  // of a failing program's output

double seconds_since(std::chrono::steady_clock::time_point start) {
  const auto took = std::chrono::steady_clock::now() - start;
  return std::chrono::duration_cast<std::chrono::milliseconds>(took).count() / 1000.0;
}

// A program of ours: beside this one, in the folder that meson built it in, or where PATH leads to.
std::optional<fs::path> program(const std::string& name, const std::string& folder) {
  std::error_code ignored;
  const fs::path here = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const fs::path& file : {here / name, here.parent_path() / folder / name})
    if (fs::is_regular_file(file, ignored) && access(file.c_str(), X_OK) == 0) return file;
  return find_program(name);
}

std::string needed_program(const std::string& name, const std::string& folder) {
  const auto found = program(name, folder);
  if (!found) throw Error(fmt::format("{} isn't installed", name));
  return found->string();
}

// Programs that have a part in a result, and their folders in the build.
constexpr std::array<std::pair<const char*, const char*>, 6> makers = {{{"kpatch-fleet", "fleet"},
                                                                        {"kpatch-build", "kpatch-build"},
                                                                        {"kpatch-sign", "sign"},
                                                                        {"kpatch-verify", "verify"},
                                                                        {"kpatch-try", "try"},
                                                                        {"kpatch-package", "package"}}};

std::vector<PatchText> read_inputs(const CellJob& job) {
  std::vector<PatchText> patches;
  for (size_t i = 0; i < job.patches.size(); ++i) {
    patches.push_back(read_patch(job.patches[i]));
    patches.back().path = job.patches[i].filename();  // what messages call it
    if (sha256_of(patches.back().text) != job.digests[i])
      throw Error(fmt::format("{} isn't the patch that the plan was made with", job.patches[i].string()));
  }
  return patches;
}

// --- triage ------------------------------------------------------------------------------------------------------------

fs::path source_of(const CellJob& job, const DistroTools& tools) {
  const Distro* distro = distro_of_release(job.kernel.release);
  if (!distro) distro = running_distro();
  if (!distro || !distro->fetch_source)
    throw Error(fmt::format("{}: sources of its kind aren't fetched", job.kernel.release));
  KernelFiles files;
  files.release = job.kernel.release;
  files.version = job.kernel.version;
  distro->fetch_source(files, tools);
  return files.source;
}

// A file that the patch changes, and the source has?
bool touches_something(const PatchText& given, const fs::path& source) {
  const PatchFile patch = parse_patch(given.path, given.text);
  return std::ranges::any_of(patch.files, [&](const FilePatch& file) {
    return file.change == FileChange::create ||
           std::ranges::any_of(std::array{file.old_path, strip_first(file.old_path)}, [&](const std::string& path) {
             return safe_path(path) && fs::is_regular_file(source / path);
           });
  });
}

// What the files alone tell: a rule that refuses one is the same for each config, and so is what nothing comes of. The
// first word of each line is the rule's.
std::optional<json> without_a_build(const AppliedPatches& patches, const fs::path& source, const json& numbers) {
  std::vector<std::string> refusals;
  const std::string arch(find_arch(host_machine())->kbuild.folder);
  const std::vector<std::string> touched = patches.touched();
  for (const std::string& file : touched)
    if (const auto refusal = refused_file(source, patches.directory, file, arch, false))
      refusals.push_back(fmt::format("{}: {}: {}", refusal->rule, file, refusal->message));
  if (!refusals.empty()) return {{{"state", "refused"}, {"message", joined(refusals, "\n")}, {"needed", numbers}}};
  if (std::ranges::all_of(touched, [&](const std::string& file) {
        return is_without_influence(source, patches.directory, file, arch);
      }))
    return {{{"state", "no change"},
             {"message", "what it touches is without influence on a kernel that runs"},
             {"needed", numbers}}};
  return std::nullopt;
}

// Patch by patch, since of a series the first ones may be in the release already.
json assess(const std::vector<PatchText>& patches, const fs::path& source, const fs::path& scratch) {
  std::vector<PatchText> needed;
  json numbers = json::array();
  std::optional<AppliedPatches> applied;
  size_t elsewhere = 0;
  for (size_t i = 0; i < patches.size(); ++i) {
    needed.push_back(patches[i]);
    try {
      applied = apply_patches(needed, source, scratch / std::to_string(i), false);
      numbers.push_back(i);
    } catch (const Error& error) {
      needed.pop_back();
      if (is_applied(patches[i], source)) continue;
      if (touches_something(patches[i], source))
        return {{"state", "needs a backport"}, {"message", error.what()}, {"needed", json::array()}};
      ++elsewhere;
    }
  }
  if (!applied)
    return {{"state", elsewhere == patches.size() ? "not affected" : "already fixed"},
            {"message", elsewhere == patches.size() ? "the source has none of the files" : ""},
            {"needed", numbers}};
  if (const auto known = without_a_build(*applied, source, numbers)) return *known;
  std::vector<std::string> notes;
  for (const Finding& warning : applied->warnings) notes.push_back(warning.message);
  return {{"state", notes.empty() ? "applies" : "applies with an offset"},
          {"message", joined(notes, "\n")},
          {"needed", numbers}};
}

json triage(const CellJob& job, const fs::path& folder, Console& console) {
  const std::vector<PatchText> patches = read_inputs(job);
  Cache cache(Cache::default_root(), console);
  Executor executor(folder / "log");
  const DistroTools tools{cache, executor, console, job.archive, job.archive_key, {}};
  const ScratchDirectory scratch = cache.scratch();
  return assess(patches, source_of(job, tools), scratch.path());
}

// --- build -------------------------------------------------------------------------------------------------------------

class Steps {
 public:
  // with_store: the one of the job answers, as far as is known.
  Steps(const CellJob& job, const fs::path& folder, bool with_store)
      : job_(job), folder_(folder), with_store_(with_store), executor_(folder / "log") {}

  json run() {
    read_inputs(job_);
    result_ = {{"state", "built"}, {"message", ""}, {"steps", json::object()}};
    if (!build()) return result_;
    if (!sign() || !verify() || !try_it() || !package()) fs::remove(module());
    if (fs::exists(module())) result_["module"] = module().filename().string();
    return result_;
  }

 private:
  fs::path module() const { return folder_ / (job_.module + ".ko"); }

  CommandResult step(const std::string& name, std::vector<std::string> words) {
    const auto start = std::chrono::steady_clock::now();
    // What a package is stamped with may not depend on when a worker ran.
    const std::string epoch = std::to_string(source_date_epoch().value_or(0));
    CommandResult result = executor_.run(
        {.argv = std::move(words), .directory = {}, .environment = {{"SOURCE_DATE_EPOCH", epoch}}, .outside = true});
    result_["steps"][name] = seconds_since(start);
    return result;
  }

  bool end(const std::string& state, std::string message) {
    result_["state"] = state;
    result_["message"] = std::move(message);
    return false;
  }

  // Its own last word first, since a table has room for one line.
  [[noreturn]] static void fail(const std::string& name, const CommandResult& result) {
    const std::string& all = result.output;
    std::string_view last;
    for (const std::string_view line : lines_of(all))
      if (line.starts_with("error: ")) last = line.substr(7);
    throw Error(fmt::format("{} ended with {}{}{}\n{}", name, result.status, last.empty() ? "" : ": ", last,
                            all.size() > words_kept ? all.substr(all.size() - words_kept) : all));
  }

  std::vector<std::string> archive_words() const {
    std::vector<std::string> words;
    if (!job_.archive.empty()) words.insert(words.end(), {"--archive", job_.archive});
    if (!job_.archive_key.empty()) words.insert(words.end(), {"--archive-key", job_.archive_key.string()});
    return words;
  }

  // What is in it runs here, so that only what is signed is of use.
  std::vector<std::string> store_words() const {
    const StorePlace& store = job_.store;
    if (!with_store_ || store.where.empty() || store.certificate.empty()) return {};
    std::vector<std::string> words = {"--store",         store.where,
                                      "--store-cert",    store.certificate.string(),
                                      "--store-timeout", std::to_string(store.patience)};
    if (!store.key.empty()) words.insert(words.end(), {"--store-key", store.key});
    if (store.read_only) words.emplace_back("--store-read-only");
    return words;
  }

  // What the report says of why.
  std::string reasons() const {
    const json report = json::parse(read_file_if_any(folder_ / "report.json"), nullptr, false);
    std::string all;
    if (report.is_object() && report.contains("findings"))
      for (const json& finding : report["findings"])
        if (const std::string how = finding.value("severity", ""); how == "refusal" || how == "error")
          all +=
              fmt::format("{}{}: {}", all.empty() ? "" : "\n", finding.value("rule", ""), finding.value("message", ""));
    return all;
  }

  // Where the kernel's compiler is in a root of its own, a launcher of this machine has nothing to launch.
  CommandResult build_by(const std::vector<std::string>& words) {
    if (job_.compiler_launcher.empty()) return step("build", words);
    std::vector<std::string> launched = words;
    launched.insert(launched.begin() + 1, {"--launcher", job_.compiler_launcher});
    CommandResult result = step("build", std::move(launched));
    const bool in_root = result.output.find("--launcher runs the compiler of this machine") != std::string::npos;
    return !result.ok() && in_root ? step("build", words) : std::move(result);
  }

  bool build() {
    std::vector<std::string> words = {needed_program("kpatch-build", "kpatch-build"),
                                      "-a",
                                      job_.kernel.release,
                                      "-n",
                                      job_.module,
                                      "-o",
                                      folder_.string(),
                                      "-j",
                                      std::to_string(std::max(1U, job_.jobs)),
                                      "--report",
                                      (folder_ / "report.json").string()};
    for (const std::string& word : archive_words()) words.push_back(word);
    for (const std::string& word : store_words()) words.push_back(word);
    for (const fs::path& patch : job_.patches) words.push_back(patch.string());
    const CommandResult result = build_by(words);
    if (result.status == exit_unpatchable) return end("refused", reasons());
    if (result.status == exit_no_change) return end("no change", "");
    if (!result.ok()) fail("kpatch-build", result);
    if (!fs::is_regular_file(module())) throw Error("kpatch-build made no " + module().filename().string());
    return true;
  }

  bool sign() {
    if (job_.sign_key.empty()) return true;
    const CommandResult result = step("sign", {needed_program("kpatch-sign", "sign"), module().string(), "--key",
                                               job_.sign_key, "--cert", job_.certificate.string()});
    if (!result.ok()) fail("kpatch-sign", result);
    return true;
  }

  // By the program that did not make it, of the bytes that are delivered.
  bool verify() {
    const CommandResult result =
        step("verify", {needed_program("kpatch-verify", "verify"), "-a", job_.kernel.release, module().string()});
    if (result.status == exit_unpatchable) return end("fails its audit", result.output);
    if (!result.ok()) fail("kpatch-verify", result);
    return true;
  }

  bool try_it() {
    if (!job_.try_it) return true;
    const CommandResult result =
        step("try", {needed_program("kpatch-try", "try"), "-a", job_.kernel.release, module().string()});
    if (result.status == exit_unpatchable) return end("fails when tried", result.output);
    if (!result.ok()) fail("kpatch-try", result);
    return true;
  }

  bool package() {
    if (job_.package.empty()) return true;
    const CommandResult result = step("package", {needed_program("kpatch-package", "package"), "--format", job_.package,
                                                  "-o", folder_.string(), module().string()});
    if (!result.ok()) fail("kpatch-package", result);
    return true;
  }

  const CellJob& job_;
  fs::path folder_;
  bool with_store_;
  Executor executor_;
  json result_;
};

// --- both --------------------------------------------------------------------------------------------------------------

// Of its files, but for the result itself.
json digests_below(const fs::path& folder) {
  json files = json::object();
  for (const auto& entry : entries_of(folder))
    if (entry.is_regular_file() && entry.path().filename() != "result.json")
      files[entry.path().filename().string()] = sha256_of(read_file(entry.path()));
  return files;
}

void require_same_modules(const json& ours, const json& theirs) {
  for (const auto& [name, digest] : ours.at("files").items())
    if (name.ends_with(".ko") && theirs.at("files").value(name, "") != digest)
      throw Error(fmt::format("two workers made different bytes of {}: {} and {}", name, digest.get<std::string>(),
                              theirs.at("files").value(name, "none")));
}

// Moves the folder to its place; what another worker has put there meanwhile stays.
void publish(const fs::path& folder, const fs::path& place) {
  std::error_code failure;
  fs::rename(folder, place, failure);
  if (!failure) return;
  const auto theirs = result_of(place);
  if (theirs) {
    const json mine = json::parse(read_file(folder / "result.json"));
    require_same_modules(mine, *theirs);
    return;
  }
  if (!fs::exists(place)) throw Error(fmt::format("{}: {}", place.string(), failure.message()));
  remove_tree(place);  // torn
  fs::rename(folder, place);
}

// A folder that goes away with this object, if it wasn't published.
class Draft {
 public:
  explicit Draft(const FleetWorkshop& workshop) : path_(workshop.root / "drafts" / random_name()) {
    fs::create_directories(path_);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() { remove_tree(path_); }
  const fs::path& path() const { return path_; }
  void empty() const {
    remove_tree(path_);
    fs::create_directories(path_);
  }

 private:
  fs::path path_;
};

std::string line_of(const json& result) {
  return fmt::format("cell: {} {}: {} in {:.1f} s{}", result.at("release").get<std::string>(),
                     result.at("fix").get<std::string>(), result.at("state").get<std::string>(),
                     result.at("seconds").get<double>(),
                     result.value("from the store", false) ? ", from the store" : "");
}

// Of a cell. Once it let a worker wait, the other cells of the round go without it.
class CellStore {
 public:
  CellStore(const CellJob& job, const FleetWorkshop& workshop)
      : marker_(workshop.store_away()), store_(is_away() ? StorePlace{} : job.store) {}

  bool usable() const { return store_.any() && !store_.away(); }

  // Made before, by anybody?
  bool fetch(const std::string& key, const Draft& draft) {
    if (!store_.any()) return false;
    const auto start = std::chrono::steady_clock::now();
    if (const auto why = store_.fetch(key, draft.path()); why) {
      say(*why);
      draft.empty();
      return false;
    }
    json result = json::parse(read_file(draft.path() / "result.json"));
    result["from the store"] = true;
    result["seconds"] = seconds_since(start);
    write_file(draft.path() / "result.json", result.dump(2) + "\n");
    return true;
  }

  void keep(const std::string& key, const Draft& draft) {
    if (is_away()) return;
    if (const auto why = store_.keep(key, draft.path()); why) say(*why);
  }

 private:
  bool is_away() const {
    std::error_code ignored;
    return fs::exists(marker_, ignored);
  }
  void say(const std::string& why) const {
    if (!why.empty()) fmt::print("cell: the store: {}\n", why);
    if (store_.away()) write_file(marker_, why);
  }

  fs::path marker_;
  ResultStore store_;
};

void work(const CellJob& job, const std::string& key, const Draft& draft, const FleetWorkshop& workshop,
          Console& console) {
  CellStore store(job, workshop);
  if (store.fetch(key, draft)) return;
  const auto start = std::chrono::steady_clock::now();
  json result =
      job.kind == "triage" ? triage(job, draft.path(), console) : Steps(job, draft.path(), store.usable()).run();
  result["key"] = key;
  result["kind"] = job.kind;
  result["release"] = job.kernel.release;
  result["version"] = job.kernel.version;
  result["fix"] = job.fix;
  result["seconds"] = seconds_since(start);
  result["files"] = digests_below(draft.path());
  write_file(draft.path() / "result.json", result.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
  store.keep(key, draft);
}

}  // namespace

int run_cell(const fs::path& file) {
  const FleetWorkshop workshop{fs::absolute(file).parent_path().parent_path()};
  const std::string key = file.stem().string();
  Console console(0);
  CellJob job;
  try {
    job = json::parse(read_file(file)).get<CellJob>();
  } catch (const json::exception& error) {
    throw Error(fmt::format("{}: it is no cell's file: {}", file.string(), error.what()));
  }
  if (job.key() != key)
    throw Error(fmt::format("{}: what it describes has another digest; another version of kpatch?", file.string()));
  if (const auto there = result_of(workshop.cell(key)); there) {
    fmt::print("{}\n", line_of(*there));
    return exit_ok;
  }
  try {
    const Draft draft(workshop);
    work(job, key, draft, workshop, console);
    const std::string line = line_of(json::parse(read_file(draft.path() / "result.json")));
    publish(draft.path(), workshop.cell(key));
    fmt::print("{}\n", line);
    return exit_ok;
  } catch (const std::exception& error) {
    fmt::print("cell: {} {}: failed: {}\n", job.kernel.release, job.fix, std::string(error.what()).substr(0, 200));
    write_file(workshop.failure(key),
               json({{"message", error.what()}}).dump(2, ' ', false, json::error_handler_t::replace) + "\n");
    return exit_error;
  }
}

std::string digest_of_our_programs() {
  static const std::string digest = [] {
    std::string text;
    for (const auto& [name, folder] : makers)
      if (const auto file = program(name, folder)) text += fmt::format("{} {}\n", name, digest_of_file(*file));
    text += digests_below(data_file("kmod-template")).dump() + digests_below(data_file("kmod-template/linux")).dump() +
            digest_of_file(data_file("kbuild/query.mk"));
    return sha256_of(text);
  }();
  return digest;
}

}  // namespace kpatch
