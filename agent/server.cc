// HTTPS for the service, by libmicrohttpd: it holds no body in memory, bounds what a connection may take, and its parser
// of multipart gives parts as they come. (cpp-httplib, the other one that Debian 12 has, reads a form into strings.)
//
//     POST /livepatch                     a module: multipart/form-data with one part "file", or application/octet-stream
//     GET  /livepatch                     what is in effect
//     GET  /offchain/golden-measurement   … and /onchain/…, for everybody: they are digests
//
// Whoever has no token is answered before a byte of his body is looked at; so is what says itself that it is too large. A
// body goes to a file in the agent's folder as it comes, and is counted: one that doesn't say how large it is grows to the
// limit, the rest of it is read and forgotten, and a sender who goes on is cut off. The answer to a body can be given at
// its end only, that is libmicrohttpd's rule, so what is wrong with it is kept until then.
//
// A connection has a thread, in which its module is loaded: one that breaks meanwhile changes nothing about that.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

#include "agent/agent.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::string_view;
using Clock = std::chrono::steady_clock;

constexpr unsigned idle_limit = 30;                     // seconds without a byte
constexpr auto upload_limit = std::chrono::minutes(5);  // for a whole body
constexpr size_t connection_memory = 256 << 10;  // a quarter of the default takes bodies a few kilobytes at a time
constexpr unsigned most_connections = 32, most_of_one_address = 16;

void complain(const std::string& line) { std::fputs((line + "\n").c_str(), stderr); }

// What a request is refused with.
struct Refusal {
  unsigned status = 0;  // 0: it isn't
  std::string text;
};

// One request, from its headers to its answer.
struct Request {
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  ~Request() {
    if (parts != nullptr) MHD_destroy_post_processor(parts);
    std::error_code ignored;
    if (!file.empty()) fs::remove(file, ignored);
  }

  uint64_t largest = 0;
  bool upload = false;
  MHD_PostProcessor* parts = nullptr;  // of multipart
  fs::path file;
  std::unique_ptr<AtomicFile> spool;
  bool begun = false;  // the part "file", or the body, has begun
  uint64_t stored = 0, received = 0;
  Clock::time_point start = Clock::now();
  Refusal refusal;

  void refuse(unsigned status, std::string text) {
    if (refusal.status == 0) refusal = {status, std::move(text)};
    spool.reset();  // its place is needed
  }
  void store(string_view bytes) {
    if (refusal.status != 0) return;
    if (bytes.size() > largest - stored) return refuse(413, fmt::format("more than {} bytes", largest));
    try {
      spool->write(bytes);
      stored += bytes.size();
    } catch (const Error& error) {
      complain(error.what());
      refuse(507, "the machine can't store it");
    }
  }
};

const char* header(MHD_Connection* connection, const char* name) {
  const char* value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
  return value == nullptr ? "" : value;
}

MHD_Result respond(MHD_Connection* connection, unsigned status, const std::string& text, const char* type) {
  MHD_Response* response =
      MHD_create_response_from_buffer(text.size(), const_cast<char*>(text.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, "Content-Type", type);
  if (status == 401) MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
  if (status == 405) MHD_add_response_header(response, "Allow", "GET, POST");
  if (status == 503) MHD_add_response_header(response, "Retry-After", "10");
  const MHD_Result result = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return result;
}

MHD_Result respond(MHD_Connection* connection, const json& value) {
  return respond(connection, 200, value.dump(2, ' ', false, json::error_handler_t::replace) + "\n", "application/json");
}

// In words, or for programs, as the request's Accept has it.
MHD_Result respond(MHD_Connection* connection, const AgentAnswer& answer) {
  if (string_view(header(connection, "Accept")).find("application/json") != string_view::npos)
    return respond(connection, answer.status, answer.report.dump(2, ' ', false, json::error_handler_t::replace) + "\n",
                   "application/json");
  return respond(connection, answer.status, answer.text + "\n", "text/plain; charset=utf-8");
}

MHD_Result respond(MHD_Connection* connection, const Refusal& refusal) {
  return respond(connection,
                 AgentAnswer{refusal.status, refusal.text, {{"outcome", "refused"}, {"message", refusal.text}}});
}

// As long for a token that is nearly right as for any other.
bool is_authorized(MHD_Connection* connection, const std::string& token_hash) {
  constexpr string_view scheme = "Bearer ";
  const string_view value = header(connection, "Authorization");
  if (value.size() < scheme.size() || strncasecmp(value.data(), scheme.data(), scheme.size()) != 0) return false;
  const string_view token = value.substr(scheme.size());
  std::array<unsigned char, 32> digest{};
  return EVP_Digest(token.data(), token.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1 &&
         token_hash.size() == digest.size() && CRYPTO_memcmp(digest.data(), token_hash.data(), digest.size()) == 0;
}

// What can be said before the body.
Refusal early_refusal(MHD_Connection* connection, string_view path, string_view method, const AgentConfig& config) {
  const bool measurement = path == "/offchain/golden-measurement" || path == "/onchain/golden-measurement";
  if (path != "/livepatch" && !measurement) return {404, "there is no such route"};
  if (method != "GET" && (measurement || method != "POST")) return {405, "it takes no such method"};
  if (!measurement && !is_authorized(connection, config.token_hash))
    return {401, "the bearer token isn't the right one"};
  if (method == "GET") return {};
  const string_view length = header(connection, "Content-Length");
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), size);
  // A form is a little larger than what it holds.
  if (error == std::errc::result_out_of_range || size > config.largest + 65536)
    return {413, fmt::format("more than {} bytes", config.largest)};
  return {};
}

MHD_Result take_part(void* data, MHD_ValueKind /*kind*/, const char* key, const char* /*filename*/,
                     const char* /*type*/, const char* encoding, const char* bytes, uint64_t offset, size_t size) {
  auto& request = *static_cast<Request*>(data);
  if (key == nullptr || std::strcmp(key, "file") != 0) return MHD_YES;
  if (offset == 0 && size > 0) {
    if (request.begun) request.refuse(400, "there are two parts named file");
    request.begun = true;
  }
  if (encoding != nullptr && strcasecmp(encoding, "binary") != 0 && strcasecmp(encoding, "8bit") != 0)
    request.refuse(400, "the part's encoding isn't binary");
  request.store({bytes, size});
  return MHD_YES;
}

class Handler {
 public:
  explicit Handler(AgentService& service) : service_(service) {}

  MHD_Result begin(MHD_Connection* connection, string_view path, string_view method, Request& request) const {
    if (const Refusal refusal = early_refusal(connection, path, method, service_.config()); refusal.status != 0)
      return respond(connection, refusal);
    if (path == "/offchain/golden-measurement") return respond(connection, service_.golden_measurement("offchain"));
    if (path == "/onchain/golden-measurement") return respond(connection, service_.golden_measurement("onchain"));
    if (method == "GET") return respond(connection, service_.state());
    return begin_upload(connection, request);
  }

  MHD_Result go_on(Request& request, string_view bytes) const {
    request.received += bytes.size();
    if (request.received > 2 * request.largest + 65536 || Clock::now() - request.start > upload_limit) return MHD_NO;
    if (request.parts == nullptr) {
      request.begun = true;
      request.store(bytes);
    } else if (request.refusal.status == 0 && MHD_post_process(request.parts, bytes.data(), bytes.size()) != MHD_YES) {
      request.refuse(400, "the form is damaged");
    }
    return MHD_YES;
  }

  MHD_Result end(MHD_Connection* connection, Request& request) const {
    // What is wrong at the end of a form is told by who takes it apart.
    if (request.parts != nullptr && MHD_destroy_post_processor(std::exchange(request.parts, nullptr)) != MHD_YES)
      request.refuse(400, "the form is damaged or cut off");
    if (!request.begun || request.stored == 0) request.refuse(400, "there is no module in it: a part named file");
    if (request.refusal.status != 0) return respond(connection, request.refusal);
    try {
      request.spool->commit();
    } catch (const Error& error) {
      complain(error.what());
      return respond(connection, Refusal{507, "the machine can't store it"});
    }
    request.spool.reset();
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);  // loading takes longer
    string_view digest = header(connection, "X-Kpatch-Digest");
    if (digest.starts_with("sha256:")) digest.remove_prefix(7);
    const AgentAnswer answer = service_.submit(request.file, std::string(digest));
    complain(fmt::format("{}: {}", answer.report.value("sha256", ""), answer.text));
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, idle_limit);
    return respond(connection, answer);
  }

 private:
  MHD_Result begin_upload(MHD_Connection* connection, Request& request) const {
    const string_view type = header(connection, "Content-Type");
    const string_view kind = trimmed(type.substr(0, type.find(';')));
    const auto is = [&](string_view name) {
      return kind.size() == name.size() && strncasecmp(kind.data(), name.data(), name.size()) == 0;
    };
    if (is("multipart/form-data")) {
      request.parts = MHD_create_post_processor(connection, 65536, take_part, &request);
      if (request.parts == nullptr) return respond(connection, Refusal{400, "the form has no boundary"});
    } else if (!is("application/octet-stream")) {
      return respond(connection, Refusal{415, "give a form with a part named file, or application/octet-stream"});
    }
    request.largest = service_.config().largest;
    request.file = service_.incoming() / (random_name() + ".ko");
    try {
      request.spool = std::make_unique<AtomicFile>(request.file, Flush::no);
    } catch (const Error& error) {
      complain(error.what());
      return respond(connection, Refusal{507, "the machine can't store it"});
    }
    request.upload = true;
    return MHD_YES;
  }

  AgentService& service_;
};

// libmicrohttpd is C: nothing may be thrown through it.
MHD_Result handle(void* data, MHD_Connection* connection, const char* path, const char* method, const char* /*version*/,
                  const char* bytes, size_t* size, void** state) {
  const auto& handler = *static_cast<const Handler*>(data);
  try {
    if (*state == nullptr) {
      auto* request = new Request;
      *state = request;
      return handler.begin(connection, path, method, *request);
    }
    auto& request = *static_cast<Request*>(*state);
    if (!request.upload) return MHD_NO;
    if (*size == 0) return handler.end(connection, request);
    return handler.go_on(request, {bytes, std::exchange(*size, 0)});
  } catch (const std::exception& error) {
    complain(error.what());
    if (*size != 0) return MHD_NO;
    return respond(connection, 500, fmt::format("{}\n", error.what()), "text/plain; charset=utf-8");
  } catch (...) {
    return MHD_NO;
  }
}

void forget(void* /*data*/, MHD_Connection* /*connection*/, void** state, MHD_RequestTerminationCode /*why*/) {
  delete static_cast<Request*>(std::exchange(*state, nullptr));
}

__attribute__((format(printf, 2, 0))) void log_line(void* /*data*/, const char* format, va_list arguments) {
  std::vfprintf(stderr, format, arguments);
}

struct Address {
  sockaddr_storage storage{};
  unsigned flags = 0;
};

Address address_of(const AgentConfig& config) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, config.address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(config.port);
  } else if (inet_pton(AF_INET6, config.address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(config.port);
    address.flags = MHD_USE_IPv6;
  } else {
    throw Error(fmt::format("{}: it is no address to listen at", config.address));
  }
  return address;
}

}  // namespace

struct AgentServer::Daemon {
  explicit Daemon(AgentService& service) : handler(service) {}
  Handler handler;
  MHD_Daemon* mhd = nullptr;
};

AgentServer::AgentServer(AgentService& service) : daemon_(std::make_unique<Daemon>(service)) {
  const AgentConfig& config = service.config();
  const Address address = address_of(config);
  const bool tls = !config.tls_certificate.empty();
  std::vector<MHD_OptionItem> options;
  if (tls)
    options = {{MHD_OPTION_HTTPS_MEM_CERT, 0, const_cast<char*>(config.tls_certificate.c_str())},
               {MHD_OPTION_HTTPS_MEM_KEY, 0, const_cast<char*>(config.tls_key.c_str())},
               {MHD_OPTION_HTTPS_PRIORITIES, 0, const_cast<char*>("SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2")}};
  options.push_back({MHD_OPTION_END, 0, nullptr});
  const unsigned flags = 0U | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
                         MHD_USE_ERROR_LOG | (tls ? unsigned{MHD_USE_TLS} : 0U) | address.flags;
  daemon_->mhd = MHD_start_daemon(
      flags, config.port, nullptr, nullptr, handle, &daemon_->handler, MHD_OPTION_EXTERNAL_LOGGER, log_line, nullptr,
      MHD_OPTION_SOCK_ADDR, &address.storage, MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_memory,
      MHD_OPTION_CONNECTION_MEMORY_INCREMENT, connection_memory / 2, MHD_OPTION_CONNECTION_LIMIT, most_connections,
      MHD_OPTION_PER_IP_CONNECTION_LIMIT, most_of_one_address, MHD_OPTION_CONNECTION_TIMEOUT, idle_limit,
      MHD_OPTION_NOTIFY_COMPLETED, forget, nullptr, MHD_OPTION_ARRAY, options.data(), MHD_OPTION_END);
  if (daemon_->mhd == nullptr)
    throw Error(fmt::format("port {} of {} can't be listened at{}", config.port, config.address,
                            tls ? ", or the TLS certificate and key don't fit" : ""));
}

AgentServer::~AgentServer() { MHD_stop_daemon(daemon_->mhd); }

uint16_t AgentServer::port() const { return MHD_get_daemon_info(daemon_->mhd, MHD_DAEMON_INFO_BIND_PORT)->port; }

}  // namespace kpatch
