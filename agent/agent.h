// The agent of a machine whose livepatches come over the network.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sign/sign.h"
#include "support/executor.h"

namespace kpatch {

struct AgentConfig {
  // The network.
  std::string address = "0.0.0.0";  // IPv4, or IPv6
  uint16_t port = 8000;
  std::string tls_certificate, tls_key;  // PEM, the text; empty: plain HTTP
  std::string token_hash;                // SHA-256 of the token, 32 bytes
  uint64_t largest = uint64_t{64} << 20;
  // What is loaded, and how.
  std::vector<Certificate> trusted;
  bool non_replace = false;  // also what doesn't replace others
  std::string kpatch = "kpatch";
  std::chrono::seconds wait{60};
  std::string health;                          // a program; empty: none
  std::optional<int> pcr;                      // that is extended before a load
  std::string pcr_program = "tpm2_pcrextend";  // by this
  std::filesystem::path rtmr;                  // the file of a register that is extended too; empty: none
  std::filesystem::path state = "/var/lib/kpatch-agent";
};

struct AgentAnswer {
  unsigned status = 200;  // of HTTP
  std::string text;       // for a person
  nlohmann::json report;  // the same and more, for programs
};

// What happens in the machine. One module at a time, from any thread.
class AgentService {
 public:
  // Makes the folder of its state. Throws Error.
  explicit AgentService(AgentConfig config);

  // Checks the module, measures it, loads it. file: whole, and nobody else's. claimed: the digest that came with it, 64 hex
  // digits, or empty.
  AgentAnswer submit(const std::filesystem::path& file, const std::string& claimed);
  nlohmann::json state();
  // What a PCR must hold after what was measured since the machine started. kind: "offchain", "onchain".
  nlohmann::json golden_measurement(std::string_view kind) const;

  const AgentConfig& config() const { return config_; }
  std::filesystem::path incoming() const { return config_.state / "incoming"; }

 private:
  struct Candidate;
  struct Current;
  struct Before;
  std::optional<AgentAnswer> unsuitable(Candidate& candidate) const;
  std::optional<AgentAnswer> measure(const Candidate& candidate);
  void extend_rtmr(const Candidate& candidate) const;
  AgentAnswer load(const Candidate& candidate);
  AgentAnswer put_back(const Candidate& candidate, const Before& before, std::string why);
  AgentAnswer answer(unsigned status, std::string outcome, std::string text, const Candidate& candidate) const;
  void log_event(std::string_view event, const Candidate& candidate) const;
  CommandResult run_kpatch(std::vector<std::string> arguments);
  nlohmann::json loaded();
  std::optional<Current> current(const nlohmann::json& loaded) const;
  void remember(const Candidate& candidate) const;
  std::filesystem::path kept_file(const std::string& sha256) const;

  AgentConfig config_;
  Executor executor_;
  std::mutex one_at_a_time_;
  std::atomic<int> waiting_{0};
};

// Listens from here to its destructor, which waits for what is being loaded.
class AgentServer {
 public:
  // Throws Error when the address or the certificate can't be used.
  explicit AgentServer(AgentService& service);
  ~AgentServer();
  AgentServer(const AgentServer&) = delete;
  AgentServer& operator=(const AgentServer&) = delete;

  uint16_t port() const;  // the real one, where 0 was asked for

 private:
  struct Daemon;
  std::unique_ptr<Daemon> daemon_;
};

}  // namespace kpatch
