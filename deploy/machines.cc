// One machine: a VM whose agent takes livepatches, or a host that one logs in to.
//
//     gcp my-vm          _artifacts/gcp_my-vm_ip, gcp_my-vm_token, gcp_my-vm_cert
//     ssh root@web1      ssh's own configuration and keys
//
// By ssh a module goes to a folder of its own, that nobody else there can have prepared, and is loaded by the host's kpatch.
// Loading what is loaded is no load to kpatch: a connection that breaks is tried once more.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "deploy/deploy.h"
#include "support/error.h"
#include "support/executor.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr int connection_failed = 255;  // ssh's own

std::string read_artifact(const fs::path& file) {
  if (!fs::exists(file))
    throw Error(fmt::format("{} is missing: it is written when the VM is deployed; ARTIFACT_DIR names another folder",
                            file.string()));
  std::string text(trimmed(read_file(file)));
  if (text.empty()) throw Error(fmt::format("{} is empty", file.string()));
  return text;
}

// What a shell over there takes as one word, without quotes.
bool is_plain(std::string_view text) {
  return !text.empty() && text.front() != '-' && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("._-@:%+/").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

// What would never be reached: a port with it, two of them, a part of a page. IPv6 may have a zone.
bool is_address(const std::string& text) {
  in6_addr ignored{};
  if (text.find(':') != std::string::npos) {
    const std::string zone = text.find('%') == std::string::npos ? "" : text.substr(text.find('%'));
    return inet_pton(AF_INET6, text.substr(0, text.size() - zone.size()).c_str(), &ignored) == 1 &&
           (zone.empty() || is_plain(zone.substr(1)));
  }
  if (text.find_first_not_of("0123456789.") == std::string::npos)
    return inet_pton(AF_INET, text.c_str(), &ignored) == 1;
  return is_plain(text) && text.find_first_of("@:%+/") == std::string::npos;
}

// Commands on a host.
class Shell {
 public:
  Shell(std::string host, bool sudo) : host_(std::move(host)), sudo_(sudo) {}

  CommandResult run(const std::vector<std::string>& words, bool as_root = false) {
    std::vector<std::string> argv = options("ssh");
    argv.insert(argv.end(), {"--", host_});
    if (as_root && sudo_) argv.insert(argv.end(), {"sudo", "-n"});
    argv.insert(argv.end(), words.begin(), words.end());
    return executor_.run({.argv = std::move(argv), .directory = {}, .environment = {}});
  }
  CommandResult copy(const fs::path& file, const std::string& to) {
    std::vector<std::string> argv = options("scp");
    // An absolute name has no colon that scp could take for a host.
    argv.insert(argv.end(), {"-q", "--", fs::absolute(file).string(), host_ + ":" + to});
    return executor_.run({.argv = std::move(argv), .directory = {}, .environment = {}});
  }

 private:
  static std::vector<std::string> options(const char* program) {
    return {program, "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15"};
  }
  std::string host_;
  bool sudo_;
  Executor executor_{"/dev/null"};
};

std::string words_of_machine(const CommandResult& result) {
  std::string text(trimmed(result.output));
  std::erase_if(text,
                [](char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t') || c == 0x7f; });
  return text.empty() ? fmt::format("exit {}", result.status) : text;
}

DeliveryReport load_there(Shell& shell, const std::string& file, bool install) {
  CommandResult result = shell.run({"kpatch", "load", file}, true);
  if (result.status == connection_failed) result = shell.run({"kpatch", "load", file}, true);
  if (result.status == connection_failed)
    return {Delivered::unknown, fmt::format("the connection broke while it was loaded: {}", words_of_machine(result))};
  if (!result.ok()) return {Delivered::failed, words_of_machine(result)};
  const std::string message = words_of_machine(result);
  if (!install) return {Delivered::loaded, message};
  if (const CommandResult kept = shell.run({"kpatch", "install", file}, true); !kept.ok())
    return {Delivered::failed, fmt::format("{}; but it isn't installed: {}", message, words_of_machine(kept))};
  return {Delivered::loaded, message + "; installed"};
}

}  // namespace

fs::path artifact_folder() {
  const char* folder = std::getenv("ARTIFACT_DIR");
  return folder == nullptr || *folder == '\0' ? "_artifacts" : folder;
}

bool is_provider(std::string_view way) { return way == "aws" || way == "gcp" || way == "azure"; }

Machine machine_of(std::string_view way, std::string_view name) {
  if (!is_provider(way) && way != "ssh")
    throw Error(fmt::format("{}: a machine is reached by aws, gcp, azure or ssh", way));
  if (!is_plain(name) || name.find('/') != std::string_view::npos)
    throw Error(fmt::format("\"{}\" is no machine's name", name));
  return {std::string(way), std::string(name)};
}

std::vector<Machine> read_machines(const fs::path& file) {
  const std::string text = read_file(file);
  std::vector<Machine> machines;
  std::set<std::pair<std::string, std::string>> known;
  size_t number = 0;
  for (const std::string_view line : lines_of(text)) {
    ++number;
    const auto words = words_of(line.substr(0, line.find('#')));
    if (words.empty()) continue;
    const auto fail = [&](const std::string& what) {
      throw Error(fmt::format("{}:{}: {}", file.string(), number, what));
    };
    if (words.size() != 2) fail("a line is a way and a name, as in \"ssh root@web1\" or \"gcp my-vm\"");
    try {
      machines.push_back(machine_of(words[0], words[1]));
    } catch (const Error& error) {
      fail(error.what());
    }
    if (!known.emplace(machines.back().way, machines.back().name).second) fail("this machine stands here twice");
  }
  if (machines.empty()) throw Error(fmt::format("{}: it names no machine", file.string()));
  return machines;
}

AgentAccess access_of(const Machine& vm, AgentAccess access) {
  const fs::path stem = artifact_folder() / (vm.way + "_" + vm.name);
  access.host = read_artifact(stem.string() + "_ip");
  if (!is_address(access.host))
    throw Error(fmt::format("{}_ip: \"{}\" is no address and no host's name", stem.string(), access.host));
  access.token = read_artifact(stem.string() + "_token");
  if (access.certificate.empty() && fs::exists(stem.string() + "_cert")) access.certificate = stem.string() + "_cert";
  return access;
}

DeliveryReport deliver_to_vm(const Machine& vm, const fs::path& file, const DeliveryOptions& options) {
  const AgentAccess access = access_of(vm, options.access);
  const std::string module = read_file(file);
  return Agent(access, options.tell).livepatch(file.filename().string(), module);
}

DeliveryReport deliver_by_ssh(const std::string& host, const fs::path& file, const DeliveryOptions& options) {
  const std::string name = file.filename().string();
  if (!is_plain(name)) throw Error(fmt::format("{}: a module of such a name can't be sent", file.string()));
  if (!fs::is_regular_file(file)) throw Error(fmt::format("{}: there is no such file", file.string()));
  Shell shell(host, options.sudo);
  const CommandResult made = shell.run({"mktemp", "-d"});
  const std::string folder(trimmed(made.output));
  if (made.status == connection_failed) return {Delivered::unreachable, words_of_machine(made)};
  if (!made.ok() || !is_plain(folder) || folder.front() != '/')
    return {Delivered::failed, fmt::format("no folder can be made there: {}", words_of_machine(made))};
  const std::string there = folder + "/" + name;
  const CommandResult copied = shell.copy(file, there);
  const DeliveryReport report =
      copied.ok() ? load_there(shell, there, options.install)
                  : DeliveryReport{Delivered::unreachable, fmt::format("scp: {}", words_of_machine(copied))};
  shell.run({"rm", "-rf", "--", folder});
  return report;
}

DeliveryReport deliver(const Machine& machine, const fs::path& module, const DeliveryOptions& options) {
  return machine.way == "ssh" ? deliver_by_ssh(machine.name, module, options) : deliver_to_vm(machine, module, options);
}

}  // namespace kpatch
