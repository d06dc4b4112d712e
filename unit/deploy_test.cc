// Many machines: in which steps, and when it ends.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "deploy/deploy.h"
#include "support/error.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

using Sizes = std::vector<size_t>;

std::vector<Machine> machines(size_t count) {
  std::vector<Machine> all;
  for (size_t i = 0; i < count; ++i) all.push_back({"ssh", "m" + std::to_string(i)});
  return all;
}

void nothing(const Machine& /*machine*/, const DeliveryReport& /*report*/) {}

// What is no address would be tried for as long as a machine that is gone.
TEST(Artifacts, AddressesThatAreNone) {
  TemporaryFolder folder;
  folder.write("gcp_vm_token", "secret");
  setenv("ARTIFACT_DIR", folder.path().c_str(), 1);
  for (const char* good : {"203.0.113.7", "2001:db8::7", "fe80::1%eth0", "vm-1.example.org", "localhost\n"}) {
    folder.write("gcp_vm_ip", good);
    EXPECT_FALSE(access_of({"gcp", "vm"}, {}).host.empty()) << good;
  }
  for (const char* bad :
       {"x y", "203.0.113.7:8000", "[2001:db8::7]", "203.0.113.777", "-x", "https://x", "a@b", "::1%"}) {
    folder.write("gcp_vm_ip", bad);
    EXPECT_THROW(access_of({"gcp", "vm"}, {}), Error) << bad;
  }
  unsetenv("ARTIFACT_DIR");
}

TEST(Steps, TakeAtLeastOneAndTogetherAll) {
  EXPECT_EQ(steps_of(50, {10, 20, 40, 60}), (Sizes{5, 5, 10, 10, 20}));
  EXPECT_EQ(steps_of(3, {10, 20, 40, 60}), (Sizes{1, 1, 1}));
  EXPECT_EQ(steps_of(1, {10, 20, 40, 60}), (Sizes{1}));
  EXPECT_EQ(steps_of(10, {100}), (Sizes{10}));
  EXPECT_EQ(steps_of(0, {10}), Sizes{});
  for (size_t count = 1; count < 200; ++count) {
    const Sizes steps = steps_of(count, {10, 20, 40, 60});
    EXPECT_EQ(std::accumulate(steps.begin(), steps.end(), size_t{0}), count);
    EXPECT_EQ(std::ranges::count(steps, size_t{0}), 0);
  }
}

TEST(RollingOut, AsksEachMachineOnce) {
  std::mutex lock;
  std::vector<std::string> asked;
  const Rollout rollout = roll_out(
      machines(20), {},
      [&](const Machine& machine) {
        const std::lock_guard hold(lock);
        asked.push_back(machine.name);
        return DeliveryReport{Delivered::loaded, ""};
      },
      nothing);
  std::ranges::sort(asked);
  EXPECT_EQ(std::ranges::adjacent_find(asked), asked.end());
  EXPECT_EQ(asked.size(), 20U);
  EXPECT_EQ(rollout.tried.size(), 20U);
  EXPECT_EQ(rollout.tried[7].first.name, "m7");
  EXPECT_TRUE(rollout.left.empty());
}

// Which machines were tried when that one fails, in steps of 2, 2, 4, 4, 8.
size_t tried_when_fails(const std::string& name, unsigned stop_at, bool throws = false) {
  RolloutOptions options;
  options.stop_at = stop_at;
  const Rollout rollout = roll_out(
      machines(20), options,
      [&](const Machine& machine) {
        if (machine.name != name) return DeliveryReport{Delivered::loaded, ""};
        if (throws) throw std::runtime_error("no such file");
        return DeliveryReport{Delivered::failed, ""};
      },
      nothing);
  EXPECT_EQ(rollout.tried.size() + rollout.left.size(), 20U);
  return rollout.tried.size();
}

TEST(RollingOut, StopsBehindTheStepInWhichEnoughFailed) {
  EXPECT_EQ(tried_when_fails("m0", 1), 2U);
  EXPECT_EQ(tried_when_fails("m3", 1), 4U);
  EXPECT_EQ(tried_when_fails("m3", 1, true), 4U);
  EXPECT_EQ(tried_when_fails("m3", 2), 20U);
  EXPECT_EQ(tried_when_fails("none", 1), 20U);
}

TEST(Machines, AreReadFromLines) {
  const TemporaryFolder folder;
  const auto file = folder.write("hosts", "# ours\nssh root@web1\n\n gcp  my-vm # in Europe\n");
  const std::vector<Machine> read = read_machines(file);
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].way + read[0].name + read[1].way + read[1].name, "sshroot@web1gcpmy-vm");
  for (const char* bad : {"", "# none\n", "web1\n", "telnet web1\n", "ssh a\nssh a\n", "ssh -oProxyCommand=x\n",
                          "gcp ../x\n", "ssh a;b\n", "ssh a b c\n"})
    EXPECT_THROW(read_machines(folder.write("bad", bad)), Error) << bad;
  EXPECT_NE(message_of<Error>([&] { read_machines(folder.write("bad", "ssh a\ntelnet b\n")); }).find("bad:2:"),
            std::string::npos);
}

}  // namespace
}  // namespace kpatch
