// Sends a livepatch to an agent, so that it is loaded once or not at all, and nobody else gets the token.
//
//     POST https://203.0.113.7:8000/livepatch      Authorization: Bearer …      multipart/form-data, one part "file"
//
// The connection may break at any time, and what breaks after the module has left may have been loaded: sending it again
// would be a second load. So a request is repeated only when nothing of its body was sent (the agent is asked to say first
// that it wants it: Expect: 100-continue), or when the agent itself said that it didn't take it (429, 503). After a break
// our own agent is asked what is in effect, by the module's digest; another one isn't, and the outcome is "unknown".
//
// Agents mostly have a certificate that they made themselves, of no name. --cacert with that very certificate is enough
// then, whatever name it has; any other must come from an authority in that file, and be the host's.
#include <curl/curl.h>
#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "deploy/deploy.h"
#include "sign/sign.h"
#include "support/error.h"
#include "support/sha256.h"
#include "support/text.h"

namespace kpatch {
namespace {

using nlohmann::json;
using std::string_view;
using std::chrono::seconds;

constexpr size_t longest_answer = 1 << 20;
constexpr std::array<int, 4> pauses = {1, 2, 5, 10};  // seconds between tries

struct Easy {
  Easy() {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);  // once, whichever thread comes first
    curl = ready == CURLE_OK ? curl_easy_init() : nullptr;
    if (curl == nullptr) throw Error("libcurl doesn't start");
  }
  Easy(const Easy&) = delete;
  Easy& operator=(const Easy&) = delete;
  ~Easy() {
    curl_mime_free(mime);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
  }

  template <typename T>
  void set(CURLoption option, T value) {
    if (const CURLcode code = curl_easy_setopt(curl, option, value); code != CURLE_OK)
      throw Error(fmt::format("libcurl: {}", curl_easy_strerror(code)));
  }
  void header(const std::string& line) { headers = curl_slist_append(headers, line.c_str()); }

  CURL* curl = nullptr;
  curl_mime* mime = nullptr;
  curl_slist* headers = nullptr;
};

// What a certificate is judged by.
struct Trust {
  std::vector<Certificate> own;
  std::string host;
};

int judge_certificate(X509_STORE_CTX* context, void* data) {
  const auto& trust = *static_cast<const Trust*>(data);
  const X509* leaf = X509_STORE_CTX_get0_cert(context);
  if (std::ranges::any_of(trust.own, [&](const Certificate& own) { return X509_cmp(own.get(), leaf) == 0; })) {
    X509_STORE_CTX_set_error(context, X509_V_OK);
    return 1;
  }
  X509_VERIFY_PARAM* wanted = X509_STORE_CTX_get0_param(context);
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, trust.host.c_str()) != 1 &&
      X509_VERIFY_PARAM_set1_host(wanted, trust.host.c_str(), 0) != 1)
    return 0;
  return X509_verify_cert(context);
}

CURLcode set_judge(CURL* /*curl*/, void* context, void* trust) {
  SSL_CTX_set_cert_verify_callback(static_cast<SSL_CTX*>(context), judge_certificate, trust);
  return CURLE_OK;
}

std::string pem_of(const std::vector<Certificate>& certificates) {
  const std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free(bio); })> bio(BIO_new(BIO_s_mem()));
  for (const Certificate& certificate : certificates) PEM_write_bio_X509(bio.get(), certificate.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

size_t take_body(const char* data, size_t size, size_t count, void* to) {
  auto& body = *static_cast<std::string*>(to);
  if (body.size() + size * count > longest_answer) return 0;
  body.append(data, size * count);
  return size * count;
}

// A module on its way.
struct Reading {
  string_view bytes;
  size_t at = 0;
  bool begun = false;
};

size_t give_module(char* to, size_t size, size_t count, void* from) {
  auto& reading = *static_cast<Reading*>(from);
  reading.begun = true;
  const size_t given = reading.bytes.substr(reading.at).copy(to, size * count);
  reading.at += given;
  return given;
}

int rewind_module(void* from, curl_off_t offset, int origin) {
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Reading*>(from)->at = static_cast<size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

// What our own agent says is in effect; empty: it isn't ours, or doesn't answer.
struct AgentState {
  std::string sha256;
  bool busy = false;
};
std::optional<AgentState> state_of(const Agent::Answer& answer) {
  if (answer.status != 200) return std::nullopt;
  const json state = json::parse(answer.body, nullptr, false);
  if (!state.is_object() || state.value("agent", json()) != json("kpatch-agent")) return std::nullopt;
  AgentState result;
  if (const auto digest = state.find("sha256"); digest != state.end() && digest->is_string())
    result.sha256 = digest->get<std::string>();
  result.busy = state.value("busy", json()) == json(true);
  return result;
}

std::string shown(const Agent::Answer& answer) {
  std::string body(trimmed(answer.body));
  // It goes to a terminal.
  std::erase_if(body,
                [](char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t') || c == 0x7f; });
  return body;
}

DeliveryReport report_of(const Agent::Answer& answer) {
  if (answer.status == 200) return {Delivered::loaded, shown(answer)};
  const Delivered outcome = answer.status >= 400 && answer.status < 500 ? Delivered::refused : Delivered::failed;
  return {outcome, fmt::format("Error (status {}): {}", answer.status, shown(answer))};
}

bool wants_another_try(const Agent::Answer& answer) {
  return answer.status == 429 || answer.status == 503 || (answer.status == 0 && !answer.sent && !answer.untrusted);
}

}  // namespace

struct Agent::Module {
  std::string name;
  string_view bytes;
  std::string digest;
};

Agent::Agent(AgentAccess access, std::function<void(string_view)> tell)
    : access_(std::move(access)), tell_(std::move(tell)) {
  if (!std::ranges::all_of(access_.token, [](char c) { return c > ' ' && c < 0x7f; }))
    throw Error("the token has characters that no header may have");
  if (!access_.certificate.empty()) read_certificates(access_.certificate);
}

Agent::Answer Agent::perform(const std::string& path, const Module* module) const {
  Easy easy;
  Answer answer;
  Trust trust;
  std::string pem;
  Reading reading;
  const bool ipv6 = access_.host.find(':') != std::string::npos;
  easy.set(CURLOPT_URL,
           fmt::format("https://{}:{}{}", ipv6 ? "[" + access_.host + "]" : access_.host, access_.port, path).c_str());
  easy.set(CURLOPT_PROTOCOLS_STR, "https");
  easy.set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  easy.set(CURLOPT_PROXY, "");  // a token isn't for strangers
  easy.set(CURLOPT_NOSIGNAL, 1L);
  easy.set(CURLOPT_FRESH_CONNECT, 1L);  // libcurl sends again by itself what a kept connection lost
  easy.set(CURLOPT_FORBID_REUSE, 1L);
  easy.set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(access_.connect_limit.count()));
  easy.set(CURLOPT_TIMEOUT, static_cast<long>(access_.limit.count()));
  easy.set(CURLOPT_WRITEFUNCTION, take_body);
  easy.set(CURLOPT_WRITEDATA, &answer.body);
  easy.set(CURLOPT_SSL_VERIFYHOST, access_.insecure || !access_.certificate.empty() ? 0L : 2L);
  easy.set(CURLOPT_SSL_VERIFYPEER, access_.insecure ? 0L : 1L);
  if (!access_.insecure && !access_.certificate.empty()) {
    trust = {read_certificates(access_.certificate), access_.host};
    pem = pem_of(trust.own);
    curl_blob blob = {pem.data(), pem.size(), CURL_BLOB_COPY};
    easy.set(CURLOPT_CAINFO_BLOB, &blob);
    easy.set(CURLOPT_SSL_CTX_FUNCTION, set_judge);
    easy.set(CURLOPT_SSL_CTX_DATA, &trust);
  }
  if (!access_.token.empty()) easy.header("Authorization: Bearer " + access_.token);
  if (module != nullptr) {
    reading.bytes = module->bytes;
    easy.mime = curl_mime_init(easy.curl);
    curl_mimepart* part = curl_mime_addpart(easy.mime);
    curl_mime_name(part, "file");
    curl_mime_filename(part, module->name.c_str());
    curl_mime_type(part, "application/octet-stream");
    curl_mime_data_cb(part, static_cast<curl_off_t>(module->bytes.size()), give_module, rewind_module, nullptr,
                      &reading);
    easy.set(CURLOPT_MIMEPOST, easy.mime);
    easy.header("Expect: 100-continue");
    easy.header("X-Kpatch-Digest: sha256:" + module->digest);
    easy.header("Accept: text/plain, */*");
  }
  easy.set(CURLOPT_HTTPHEADER, easy.headers);
  std::array<char, CURL_ERROR_SIZE> reason{};
  easy.set(CURLOPT_ERRORBUFFER, reason.data());
  const CURLcode code = curl_easy_perform(easy.curl);
  curl_easy_setopt(easy.curl, CURLOPT_ERRORBUFFER, nullptr);
  answer.sent = reading.begun;
  if (code != CURLE_OK) {
    answer.untrusted = code == CURLE_PEER_FAILED_VERIFICATION;
    answer.error = reason[0] != '\0' ? reason.data() : curl_easy_strerror(code);
    return answer;
  }
  curl_off_t wait = 0;
  curl_easy_getinfo(easy.curl, CURLINFO_RESPONSE_CODE, &answer.status);
  if (curl_easy_getinfo(easy.curl, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0)
    answer.retry_after = seconds(std::min<curl_off_t>(wait, 60));
  return answer;
}

Agent::Answer Agent::get(const std::string& path) const { return perform(path, nullptr); }

Agent::Answer Agent::post(const Module& module) const {
  Answer answer;
  for (size_t i = 0;; ++i) {
    answer = perform("/livepatch", &module);
    if (!wants_another_try(answer) || i == pauses.size()) return answer;
    const seconds pause = answer.retry_after.value_or(seconds(pauses.at(i)));
    tell_(fmt::format("{}; once more in {} s",
                      answer.status == 0 ? answer.error : fmt::format("status {}", answer.status), pause.count()));
    std::this_thread::sleep_for(pause);
  }
}

// The agent may be loading it still.
DeliveryReport Agent::look_after_break(const Module& module, const std::string& error, bool ours) const {
  const DeliveryReport unknown = {
      Delivered::unknown,
      fmt::format(
          "the connection broke after the module was sent ({}); it isn't sent again: look on the machine whether "
          "it is in effect",
          error)};
  if (!ours) return unknown;
  tell_(fmt::format("{}; asking the agent what became of it", error));
  const auto end = std::chrono::steady_clock::now() + access_.limit;
  for (int gone = 0; std::chrono::steady_clock::now() < end;) {
    const std::optional<AgentState> state = state_of(get("/livepatch"));
    if (state && state->sha256 == module.digest) return {Delivered::loaded, "it is in effect"};
    if (state && !state->busy)
      return {Delivered::failed, "the connection broke, and the module isn't in effect; the agent's log says why"};
    if (!state && ++gone == 5) return unknown;
    std::this_thread::sleep_for(seconds(2));
  }
  return unknown;
}

DeliveryReport Agent::livepatch(const std::string& name, string_view bytes) const {
  const Module module{name, bytes, sha256_of(bytes)};
  // Another agent than ours has no such answer.
  const Answer asked = get("/livepatch");
  if (asked.untrusted)
    return {Delivered::unreachable,
            fmt::format("{}: {}; --cacert names the agent's certificate", access_.host, asked.error)};
  const std::optional<AgentState> before = state_of(asked);
  if (before && before->sha256 == module.digest) return {Delivered::loaded, "it is in effect already"};
  const Answer answer = post(module);
  if (answer.status != 0) return report_of(answer);
  if (!answer.sent) return {Delivered::unreachable, fmt::format("{}: {}", access_.host, answer.error)};
  return look_after_break(module, answer.error, before.has_value());
}

}  // namespace kpatch
