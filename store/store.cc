// A store that a team shares
//
//     STORE/results/KEY         the files of a cell's result, by name, with their digests; signed where there is a key
//     STORE/entries/NAME        the same of an entry of a cache (entries.cc)
//     STORE/files/SHA256        a file
//
// A folder (of this machine, or NFS) is read and written, an HTTP server with such a folder is read. What comes out of it is
// believed for its digests alone: a file is what the list says, the list is its signer's, and names the key that was asked
// for, so that an entry can't stand in for another one. Whatever is torn, missing, foreign or forged isn't there, and is
// made anew. Files are written before the list that names them.
//
// Everything in it can be made without it, so that nothing is worth waiting for: a server that says nothing, one that sends
// a byte now and then, and a folder whose host is gone (a read of NFS then ends when the host is back, and not before) cost
// the time that the place allows, once.
#include "store/store.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "sign/sign.h"
#include "support/error.h"
#include "support/files.h"
#include "support/sha256.h"
#include "support/signals.h"

namespace kpatch {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr size_t largest_list = 512 << 10;
constexpr uint64_t largest_file = uint64_t{4} << 30, a_second = 1 << 20;  // bytes
constexpr long slow = 1024;                                               // bytes a second
constexpr auto young = std::chrono::hours(1);                             // a file whose list may still be to come

// It said nothing, or nothing in time.
struct NoAnswer : Error {
  using Error::Error;
};

bool is_url(const std::string& where) { return where.starts_with("http://") || where.starts_with("https://"); }

bool is_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_plain_file(std::string_view name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string_view::npos;
}

struct Download {
  int to;
  uint64_t size = 0, most;
};

size_t take(char* bytes, size_t size, size_t count, void* to) {
  auto& download = *static_cast<Download*>(to);
  download.size += size * count;
  if (download.size > download.most) return 0;
  for (size_t done = 0; done < size * count;) {
    const ssize_t written = write(download.to, bytes + done, size * count - done);
    if (written <= 0) return 0;
    done += static_cast<size_t>(written);
  }
  return size * count;
}

// Other than 0 ends the transfer.
int is_interrupted(void* /*of*/, curl_off_t /*all*/, curl_off_t /*done*/, curl_off_t /*up*/, curl_off_t /*up_done*/) {
  try {
    check_interrupted();
    return 0;
  } catch (const Interrupted&) {
    return 1;
  }
}

uint64_t size_in(const json& list, const std::string& name) {
  const auto sizes = list.find("sizes");
  if (sizes == list.end() || !sizes->is_object() || !sizes->contains(name)) return a_second;
  const json& size = (*sizes)[name];
  if (!size.is_number_unsigned() || size.get<uint64_t>() > largest_file)
    throw Error(fmt::format("{} has no size that a file may have", name));
  return size.get<uint64_t>();
}

// Empty: it can't be read. By parts: a root is larger than what one likes to hold in memory.
std::string digest_of_contents(const fs::path& file) {
  try {
    return sha256_of_file(file);
  } catch (const Error&) {
    return {};
  }
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

// Whole or not at all, and not more than was agreed.
void copy_file(const fs::path& from, const fs::path& to, uint64_t most) {
  const int file = open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw Error(fmt::format("{}: {}", from.string(), std::generic_category().message(errno)));
  const std::unique_ptr<const int, void (*)(const int*)> closing(&file, [](const int* of) { close(*of); });
  AtomicFile copy(to);
  std::string block(1 << 20, '\0');
  ssize_t got = 0;
  for (uint64_t done = 0; (got = read(file, block.data(), block.size())) > 0;) {
    done += static_cast<uint64_t>(got);
    if (done > most) throw Error(fmt::format("{} is larger than its list says", from.string()));
    copy.write(std::string_view(block).substr(0, static_cast<size_t>(got)));
  }
  if (got < 0) throw Error(fmt::format("{}: {}", from.string(), std::generic_category().message(errno)));
  copy.commit();
}

fs::file_time_type now() { return fs::file_time_type::clock::now(); }

}  // namespace

void require_sound(const StorePlace& place) {
  if (is_url(place.where) && place.certificate.empty())
    throw Error("a store behind a URL is taken at its word by nobody: name the certificate of who signs it");
  if (!place.key.empty() && place.certificate.empty()) throw Error("the store's key wants its certificate beside it");
  if (place.patience == 0 || place.patience > 3600) throw Error("a store is waited for between 1 and 3600 seconds");
}

bool TeamStore::takes() const { return any() && !place_.read_only && !is_url(place_.where) && !away_; }

// In a thread, since nothing calls off a read whose host is gone. It is left behind then, and owns all that it works with.
template <typename T>
T TeamStore::within(uint64_t size, std::function<T()> work) {
  const auto most = std::chrono::seconds(place_.patience + size / a_second);
  const auto answer = std::make_shared<std::promise<T>>();
  std::future<T> result = answer->get_future();
  std::thread([answer, work = std::move(work)] {
    try {
      answer->set_value(work());
    } catch (...) {
      answer->set_exception(std::current_exception());
    }
  }).detach();
  const auto end = std::chrono::steady_clock::now() + most;
  while (result.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready) {
    check_interrupted();
    if (std::chrono::steady_clock::now() < end) continue;
    away_ = true;
    throw NoAnswer(fmt::format("{} didn't answer within {} s, and isn't asked again", place_.where, most.count()));
  }
  return result.get();
}

// Into an open file. It stays empty where the server has none.
void TeamStore::download(const std::string& name, uint64_t size, int to) {
  const std::string url = place_.where + (place_.where.ends_with('/') ? "" : "/") + name;
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) throw Error("libcurl can't be started");
  Download got{to, 0, size};
  const long patience = place_.patience, most = patience + static_cast<long>(size / a_second);
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, std::min(patience, 5L));
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, slow);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, patience);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, most);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, is_interrupted);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &got);
  const CURLcode code = curl_easy_perform(curl.get());
  check_interrupted();
  if (code == CURLE_OK) return;
  if (code == CURLE_HTTP_RETURNED_ERROR) {
    long status = 0;
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status == 404) return;
    throw Error(fmt::format("{}: the server answers {}", url, status));
  }
  if (code == CURLE_WRITE_ERROR)
    throw Error(fmt::format("{}: it is larger than its list says, or the disk is full", url));
  if (code != CURLE_OPERATION_TIMEDOUT && code != CURLE_COULDNT_CONNECT && code != CURLE_COULDNT_RESOLVE_HOST)
    throw Error(fmt::format("{}: {}", url, curl_easy_strerror(code)));
  away_ = true;
  throw NoAnswer(fmt::format(
      "{}: {}, and it isn't asked again", url,
      code == CURLE_OPERATION_TIMEDOUT ? fmt::format("no answer within {} s", most) : curl_easy_strerror(code)));
}

// Empty: there is none.
std::string TeamStore::get(const std::string& name, size_t most) {
  if (is_url(place_.where)) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
    if (!file) throw Error("no temporary file can be made");
    download(name, most, fileno(file.get()));
    std::string text(static_cast<size_t>(std::max<off_t>(0, lseek(fileno(file.get()), 0, SEEK_END))), '\0');
    if (pread(fileno(file.get()), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
      throw Error("a temporary file can't be read");
    return text;
  }
  return within<std::string>(most, [file = fs::path(place_.where) / name, most] {
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored)) return std::string();
    if (fs::file_size(file, ignored) > most) throw Error(fmt::format("{}: too large", file.string()));
    return read_file(file);
  });
}

json TeamStore::list(const std::string& kind, const std::string& key) {
  if (!any() || away_) return {};
  const std::string text = get(kind + "/" + key, largest_list);
  return text.empty() ? json() : list_of(text, key, place_.certificate);
}

void TeamStore::fetch(const json& list, const std::string& name, const fs::path& to) {
  const auto digest = list.at("files").at(name).get<std::string>();
  const uint64_t size = size_in(list, name);
  if (is_url(place_.where)) {
    AtomicFile file(to, Flush::no);
    download("files/" + digest, size, file.fd());
    file.commit();
  } else {
    within<bool>(size, [from = fs::path(place_.where) / "files" / digest, to, size] {
      copy_file(from, to, size);
      return true;
    });
  }
  if (digest_of_contents(to) == digest) return;
  remove_tree(to);
  throw Error(fmt::format("{} of {} isn't what it was", name, list.at("key").get<std::string>()));
}

void TeamStore::touch(const std::string& kind, const std::string& key) {
  if (!takes()) return;
  try {
    within<bool>(0, [file = fs::path(place_.where) / kind / key] {
      std::error_code ignored;
      fs::last_write_time(file, now(), ignored);
      return true;
    });
  } catch (const Error&) {
  }
}

void TeamStore::keep(const std::string& kind, const std::string& key, json about, const std::vector<fs::path>& files) {
  if (!takes()) return;
  uint64_t size = 0;
  about["key"] = key;
  about["files"] = json::object();
  for (const fs::path& file : files) {
    about["files"][file.filename().string()] = sha256_of_file(file);
    about["sizes"][file.filename().string()] = fs::file_size(file);
    size += fs::file_size(file);
  }
  std::string text = about.dump(2) + "\n";
  if (!place_.key.empty()) text = sign_module(text, key, Signer::open(place_.key, place_.certificate));
  within<bool>(size, [store = fs::path(place_.where), kind, key, text, files, named = about["files"]] {
    try {
      fs::create_directories(store / "files");
      fs::create_directories(store / kind);
      for (const fs::path& file : files) {
        const auto digest = named.at(file.filename().string()).get<std::string>();
        if (digest_of_contents(store / "files" / digest) != digest)
          copy_file(file, store / "files" / digest, largest_file);
      }
      write_file(store / kind / key, text);
      return true;
    } catch (const fs::filesystem_error& error) {
      throw Error(fmt::format("{}: {}", error.path1().string(), error.code().message()));
    }
  });
}

size_t prune_store(const fs::path& store, long long seconds) {
  if (!fs::is_directory(store / "results") && !fs::is_directory(store / "entries"))
    throw Error(fmt::format("{}: it is no store", store.string()));
  size_t removed = 0;
  std::set<std::string> needed;
  for (const char* kind : {"results", "entries"})
    for (const auto& entry : entries_if_any(store / kind)) {
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
