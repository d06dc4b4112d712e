// Livepatches are brought to the machines that they are for: through an agent's HTTPS.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace kpatch {

// --- an agent --------------------------------------------------------------------------------------------------------

struct AgentAccess {
  std::string host;  // name or address
  int port = 8000;
  std::string token;                  // empty: none is sent
  std::filesystem::path certificate;  // the agent's own, or an authority's; empty: the system's authorities
  bool insecure = false;              // any certificate will do
  std::chrono::seconds connect_limit{10};
  std::chrono::seconds limit{300};  // for an answer: a transition may take a minute each way
};

// Also the exit code of programs.
enum class Delivered : uint8_t {
  loaded = 0,
  refused = 2,      // by the agent: the token, or the module; nothing changed
  unreachable = 3,  // no module was sent
  failed = 4,       // on the machine
  unknown = 5       // the connection broke after the module was sent, and the agent doesn't say what became of it
};

struct DeliveryReport {
  Delivered outcome = Delivered::unreachable;
  std::string message;  // for a person; what the agent said, where it said something
};

class Agent {
 public:
  // tell gets a line for each thing that takes time. Throws Error when the certificate can't be read, or the token can't
  // be sent.
  Agent(AgentAccess access, std::function<void(std::string_view)> tell);

  // A module that is in effect already isn't sent, and none is sent a second time. name: the file's name there.
  DeliveryReport livepatch(const std::string& name, std::string_view module) const;

  struct Answer {
    long status = 0;  // 0: there was no whole answer
    std::string body;
    std::string error;       // why there is none
    bool sent = false;       // some of the request's body left this machine
    bool untrusted = false;  // it isn't the agent's certificate
    std::optional<std::chrono::seconds> retry_after;
  };
  Answer get(const std::string& path) const;

 private:
  struct Module;
  Answer post(const Module& module) const;
  Answer perform(const std::string& path, const Module* module) const;
  DeliveryReport look_after_break(const Module& module, const std::string& error, bool ours) const;

  AgentAccess access_;
  std::function<void(std::string_view)> tell_;
};

// 64 hex digits.
std::string sha256_of(std::string_view bytes);

// --- the commands of the guide for confidential machines -------------------------------------------------------------

// cvm-cli's main, without its errors: the exit code. Throws Error.
int run_guide(int argc, char** argv);

}  // namespace kpatch
