// A cell's file, its key, and its result.
//
// The key is the digest of all that shapes the result, and of nothing else: which worker, how many jobs, which store and who
// launches compilers are no part of it. A triage reads the source alone, so that kernels of equal source share one: its key has the packages'
// version, and not the release.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "fleet/fleet.h"
#include "support/error.h"
#include "support/files.h"
#include "support/sha256.h"

namespace kpatch {

using nlohmann::json;
namespace fs = std::filesystem;

std::string CellJob::key() const {
  json shape = {{"kind", kind}, {"tool", digest_of_our_programs()}, {"version", kernel.version}, {"patches", digests}};
  // Without a version nobody knows whether two releases are of one source.
  if (kind == "build" || kernel.version.empty()) shape["release"] = kernel.release;
  if (kind == "triage") {
    // A series of kernels has a source package of its own: 6.1's and 6.12's may have one version in two archives.
    shape["series"] = kernel.release.substr(0, kernel.release.find('.', kernel.release.find('.') + 1));
    return sha256_of(shape.dump());
  }
  std::vector<std::string> names;
  for (const fs::path& patch : patches) names.push_back(patch.filename().string());
  shape["names"] = names;  // they stand in the module's report
  shape["module"] = module;
  shape["package"] = package;
  shape["try"] = try_it;
  if (!certificate.empty()) shape["signed by"] = sha256_of(read_file(certificate));
  return sha256_of(shape.dump());
}

void to_json(json& to, const CellJob& job) {
  json patches = json::array();
  for (size_t i = 0; i < job.patches.size(); ++i)
    patches.push_back({{"file", job.patches[i].string()}, {"sha256", job.digests[i]}});
  to = {{"kind", job.kind},
        {"key", job.key()},
        {"release", job.kernel.release},
        {"version", job.kernel.version},
        {"fix", job.fix},
        {"module", job.module},
        {"patches", patches},
        {"jobs", job.jobs},
        {"store",
         {{"at", job.store.where},
          {"read-only", job.store.read_only},
          {"key", job.store.key},
          {"cert", job.store.certificate.string()},
          {"timeout", job.store.patience}}},
        {"compiler-launcher", job.compiler_launcher},
        {"sign", {{"key", job.sign_key}, {"cert", job.certificate.string()}}},
        {"package", job.package},
        {"try", job.try_it},
        {"archive", job.archive},
        {"archive-key", job.archive_key.string()}};
}

void from_json(const json& from, CellJob& job) {
  job.kind = from.at("kind");
  job.kernel.release = from.at("release");
  job.kernel.version = from.at("version");
  job.fix = from.at("fix");
  job.module = from.at("module");
  for (const json& patch : from.at("patches")) {
    job.patches.emplace_back(patch.at("file").get<std::string>());
    job.digests.push_back(patch.at("sha256"));
  }
  job.jobs = from.at("jobs");
  const json& store = from.at("store");
  job.store = {store.at("at"), store.at("read-only"), store.at("key"), store.at("cert").get<std::string>(),
               store.at("timeout")};
  job.compiler_launcher = from.at("compiler-launcher");
  job.sign_key = from.at("sign").at("key");
  job.certificate = from.at("sign").at("cert").get<std::string>();
  job.package = from.at("package");
  job.try_it = from.at("try");
  job.archive = from.at("archive");
  job.archive_key = from.at("archive-key").get<std::string>();
}

std::optional<json> result_of(const fs::path& cell) {
  try {
    const std::string text = read_file_if_any(cell / "result.json");
    json result = json::parse(text, nullptr, false);
    if (!result.is_object() || result.at("key") != cell.filename().string()) return std::nullopt;
    for (const auto& [name, digest] : result.at("files").items())
      if (name.find('/') != std::string::npos || sha256_of(read_file(cell / name)) != digest) return std::nullopt;
    return result;
  } catch (const json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace kpatch
