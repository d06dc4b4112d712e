// Livepatches are brought to the machines that they are for: through an agent's HTTPS.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

// --- machines --------------------------------------------------------------------------------------------------------

// "gcp my-vm", "ssh root@web1": how a machine is reached, and its name there.
struct Machine {
  std::string way;  // aws, gcp, azure, ssh
  std::string name;
};
// Those of VMs with an agent: aws, gcp, azure.
bool is_provider(std::string_view way);
// Throws Error when there is no such way, or no machine can have that name.
Machine machine_of(std::string_view way, std::string_view name);
// One a line; # begins a comment. Throws Error, naming the line, also when a machine stands there twice, or none does.
std::vector<Machine> read_machines(const std::filesystem::path& file);

struct DeliveryOptions {
  AgentAccess access;    // host, token and certificate come from the VM's artifacts, unless a certificate is given
  bool sudo = false;     // of ssh: the user there isn't root
  bool install = false;  // of ssh: also for the next start
  std::function<void(std::string_view)> tell = [](std::string_view) {};
};
// Throws Error when a file of this machine is missing.
DeliveryReport deliver(const Machine& machine, const std::filesystem::path& module, const DeliveryOptions& options);
// … of a VM through its agent, and of a host by ssh and kpatch.
DeliveryReport deliver_to_vm(const Machine& vm, const std::filesystem::path& module, const DeliveryOptions& options);
DeliveryReport deliver_by_ssh(const std::string& host, const std::filesystem::path& module,
                              const DeliveryOptions& options);
// What reaches a VM's agent: ARTIFACT_DIR's files. Throws Error.
std::filesystem::path artifact_folder();
AgentAccess access_of(const Machine& vm, AgentAccess given);

// --- many machines ---------------------------------------------------------------------------------------------------

struct RolloutOptions {
  std::vector<unsigned> percents = {10, 20, 40, 60};  // how many have it after each step; then all
  unsigned stop_at = 1;                               // machines that failed
  std::chrono::seconds pause{0};                      // behind a step
  unsigned jobs = 8;
};
// How many machines a step takes: at least one, together all.
std::vector<size_t> steps_of(size_t machines, const std::vector<unsigned>& percents);

struct Rollout {
  std::vector<std::pair<Machine, DeliveryReport>> tried;  // in the order of the machines
  std::vector<Machine> left;                              // those of the steps that weren't begun
};
// Step by step. No step begins once so many have failed; what a step has begun it ends. one: for a machine, from any
// thread; what it throws is that machine's failure. tell: after each machine, one at a time.
Rollout roll_out(const std::vector<Machine>& machines, const RolloutOptions& options,
                 const std::function<DeliveryReport(const Machine&)>& one,
                 const std::function<void(const Machine&, const DeliveryReport&)>& tell);

// --- the commands of the guide for confidential machines -------------------------------------------------------------

// cvm-cli's main, without its errors: the exit code. Throws Error.
int run_guide(int argc, char** argv);

}  // namespace kpatch
