// Results that a team shares: store/store.cc says how.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "fleet/fleet.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {

using nlohmann::json;
namespace fs = std::filesystem;

std::optional<std::string> ResultStore::fetch(const std::string& key, const fs::path& to) {
  try {
    const json list = store_.list("results", key);
    if (list.is_null()) return "";
    for (const auto& [name, digest] : list["files"].items()) store_.fetch(list, name, to / name);
    const json result = json::parse(read_file_if_any(to / "result.json"), nullptr, false);
    if (!result.is_object() || result.value("key", "") != key) return fmt::format("the entry {} is another's", key);
    store_.touch("results", key);
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  } catch (const json::exception&) {
    return fmt::format("the entry {} is torn", key);
  }
}

std::optional<std::string> ResultStore::keep(const std::string& key, const fs::path& from) {
  try {
    std::vector<fs::path> files;
    for (const auto& entry : entries_of(from)) files.push_back(entry.path());
    store_.keep("results", key, json::object(), files);
    return std::nullopt;
  } catch (const fs::filesystem_error& error) {
    return fmt::format("{}: {}", error.path1().string(), error.code().message());
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace kpatch
