// A livepatch for many machines, a few of them first.
//
//     50 machines, 10, 20, 40, 60 %      5 │ 5 │ 10 │ 10 │ 20      a step begins when the one before has ended
//
// What is wrong with a livepatch shows on the first machines: once as many have failed as one wants to lose, no further
// step begins. Those of the step are ended: half a delivery is worse than one more. Whoever starts it again with the same
// list does no harm, since a machine that has the livepatch says so.
#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "deploy/deploy.h"

namespace kpatch {
namespace {

DeliveryReport tried(const std::function<DeliveryReport(const Machine&)>& one, const Machine& machine) {
  try {
    return one(machine);
  } catch (const std::exception& error) {
    return {Delivered::unreachable, error.what()};
  }
}

}  // namespace

std::vector<size_t> steps_of(size_t machines, const std::vector<unsigned>& percents) {
  std::vector<size_t> steps;
  size_t done = 0;
  for (const unsigned percent : percents) {
    const size_t goal = std::min(machines, (machines * percent + 99) / 100);
    if (goal <= done) continue;
    steps.push_back(goal - done);
    done = goal;
  }
  if (done < machines) steps.push_back(machines - done);
  return steps;
}

Rollout roll_out(const std::vector<Machine>& machines, const RolloutOptions& options,
                 const std::function<DeliveryReport(const Machine&)>& one,
                 const std::function<void(const Machine&, const DeliveryReport&)>& tell) {
  Rollout rollout;
  size_t begin = 0, failed = 0;
  for (const size_t size : steps_of(machines.size(), options.percents)) {
    if (failed >= options.stop_at) break;
    if (begin > 0) std::this_thread::sleep_for(options.pause);
    std::vector<DeliveryReport> reports(size);
    std::atomic<size_t> next{0};
    std::mutex telling;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < std::min<size_t>(size, options.jobs); ++i)
      threads.emplace_back([&] {
        for (size_t at = 0; (at = next++) < size;) {
          reports[at] = tried(one, machines[begin + at]);
          const std::lock_guard lock(telling);
          tell(machines[begin + at], reports[at]);
        }
      });
    for (std::thread& thread : threads) thread.join();
    for (size_t i = 0; i < size; ++i) {
      if (reports[i].outcome != Delivered::loaded) ++failed;
      rollout.tried.emplace_back(machines[begin + i], std::move(reports[i]));
    }
    begin += size;
  }
  rollout.left.assign(machines.begin() + static_cast<long>(begin), machines.end());
  return rollout;
}

}  // namespace kpatch
