// Results that a team shares
//
//     STORE/results/KEY         the files of a cell's result, by name, with their digests; signed where there is a key
//     STORE/files/SHA256        a file
//
// A folder (of this machine, or NFS) is read and written, an HTTP server with such a folder is read. What comes out of it is
// believed for its digests alone: a file is what the list says, the list is its signer's, and names the key that was asked
// for, so that an entry can't stand in for another one. Whatever is torn, missing, foreign or forged isn't there, and is
// made anew. Files are written before the list that names them.
#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "fleet/fleet.h"
#include "sign/sign.h"
#include "support/error.h"
#include "support/files.h"
#include "support/sha256.h"

namespace kpatch {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr size_t largest_list = 1 << 20, largest_file = size_t{256} << 20;
constexpr long seconds_to_connect = 5, seconds_slow = 20, slowest = 1024;  // bytes a second
constexpr auto young = std::chrono::hours(1);                              // a file whose list may still be to come

bool is_url(const std::string& where) { return where.starts_with("http://") || where.starts_with("https://"); }

struct Download {
  std::string text;
  size_t most;
};

size_t take(char* bytes, size_t size, size_t count, void* to) {
  auto& download = *static_cast<Download*>(to);
  if (download.text.size() + size * count > download.most) return 0;
  download.text.append(bytes, size * count);
  return size * count;
}

// Empty: the server has no such file.
std::string download(const std::string& url, size_t most) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) throw Error("libcurl can't be started");
  Download got{{}, most};
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, seconds_to_connect);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, slowest);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, seconds_slow);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &got);
  const CURLcode code = curl_easy_perform(curl.get());
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (code == CURLE_HTTP_RETURNED_ERROR && status == 404) return {};
  if (code != CURLE_OK) throw Error(fmt::format("{}: {}", url, curl_easy_strerror(code)));
  return got.text;
}

bool is_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_plain_file(std::string_view name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string_view::npos;
}

// The list of an entry, if it is its signer's. Throws Error.
json list_of(const std::string& text, const std::string& key, const fs::path& certificate) {
  std::string_view content = text;
  if (!certificate.empty()) {
    const std::vector<Certificate> trusted = read_certificates(certificate);
    if (const Verdict verdict = verify_module(text, trusted); verdict.state != SignatureState::good)
      throw Error(fmt::format("the entry {} {}", key, verdict.message));
    content = split_signature(text, key).content;
  }
  json list = json::parse(content, nullptr, false);
  if (!list.is_object() || !list.contains("key") || list["key"] != key || !list.contains("files") ||
      !list["files"].is_object())
    throw Error(fmt::format("the entry {} is torn, or another's", key));
  for (const auto& [name, digest] : list["files"].items())
    if (!is_plain_file(name) || !digest.is_string() || !is_digest(digest.get<std::string>()))
      throw Error(fmt::format("the entry {} names a file that none may have", key));
  return list;
}

// As list_of, and empty instead of an error.
std::set<std::string> files_named_by(const fs::path& entry) {
  std::set<std::string> digests;
  const std::string text = read_file_if_any(entry);
  std::string_view content = text;
  try {
    content = split_signature(text, entry.string()).content;
  } catch (const Error&) {
    return digests;
  }
  const json list = json::parse(content, nullptr, false);
  if (list.is_object() && list.contains("files") && list["files"].is_object())
    for (const auto& [name, digest] : list["files"].items())
      if (digest.is_string()) digests.insert(digest.get<std::string>());
  return digests;
}

fs::file_time_type now() { return fs::file_time_type::clock::now(); }

}  // namespace

std::string ResultStore::get(const std::string& name, size_t most) const {
  if (is_url(place_.where)) return download(place_.where + (place_.where.ends_with('/') ? "" : "/") + name, most);
  const fs::path file = fs::path(place_.where) / name;
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return {};
  if (fs::file_size(file, ignored) > most) throw Error(fmt::format("{}: too large", file.string()));
  return read_file(file);
}

std::optional<std::string> ResultStore::fetch(const std::string& key, const fs::path& to) const {
  if (place_.where.empty()) return "";
  try {
    const std::string text = get("results/" + key, largest_list);
    if (text.empty()) return "";
    const json list = list_of(text, key, place_.certificate);
    for (const auto& [name, digest] : list["files"].items()) {
      const std::string file = get("files/" + digest.get<std::string>(), largest_file);
      if (sha256_of(file) != digest) return fmt::format("{} of {} isn't what it was; it is made anew", name, key);
      write_file(to / name, file);
    }
    const json result = json::parse(read_file_if_any(to / "result.json"), nullptr, false);
    if (!result.is_object() || result.value("key", "") != key) return fmt::format("the entry {} is another's", key);
    std::error_code ignored;  // its last use, for pruning
    if (!is_url(place_.where) && !place_.read_only)
      fs::last_write_time(fs::path(place_.where) / "results" / key, now(), ignored);
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  } catch (const json::exception&) {
    return fmt::format("the entry {} is torn", key);
  }
}

std::optional<std::string> ResultStore::keep(const std::string& key, const fs::path& from) const {
  if (place_.where.empty() || place_.read_only || is_url(place_.where)) return std::nullopt;
  const fs::path store = place_.where;
  try {
    fs::create_directories(store / "files");
    fs::create_directories(store / "results");
    json list = {{"key", key}, {"files", json::object()}};
    for (const auto& entry : entries_of(from)) {
      const std::string text = read_file(entry.path()), digest = sha256_of(text);
      if (sha256_of(read_file_if_any(store / "files" / digest)) != digest) write_file(store / "files" / digest, text);
      list["files"][entry.path().filename().string()] = digest;
    }
    std::string text = list.dump(2) + "\n";
    if (!place_.key.empty()) text = sign_module(text, key, Signer::open(place_.key, place_.certificate));
    write_file(store / "results" / key, text);
    return std::nullopt;
  } catch (const fs::filesystem_error& error) {
    return fmt::format("{}: {}", error.path1().string(), error.code().message());
  } catch (const Error& error) {
    return error.what();
  }
}

size_t prune_store(const fs::path& store, long long seconds) {
  if (!fs::is_directory(store / "results")) throw Error(fmt::format("{}: it is no store", store.string()));
  size_t removed = 0;
  std::set<std::string> needed;
  for (const auto& entry : entries_of(store / "results")) {
    if (entry.last_write_time() < now() - std::chrono::seconds(seconds)) {
      remove_tree(entry.path());
      ++removed;
    } else {
      needed.merge(files_named_by(entry.path()));
    }
  }
  for (const auto& entry : entries_if_any(store / "files"))
    if (!needed.contains(entry.path().filename().string()) && entry.last_write_time() < now() - young) {
      remove_tree(entry.path());
      ++removed;
    }
  return removed;
}

}  // namespace kpatch
