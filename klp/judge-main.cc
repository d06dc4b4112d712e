// kpatch-judge: what the audit and the delivery check say of the module of a build that kept its scratch directory.
//
//     kpatch-judge INPUTS [MODULE]
#include <fmt/format.h>

#include <cstdio>

#include "klp/judge.h"
#include "support/error.h"
#include "support/standard-output.h"

int main(int argc, char** argv) {
  using namespace kpatch;
  if (argc < 2 || argc > 3) {
    fmt::print(stderr, "usage: kpatch-judge INPUTS [MODULE]\n");
    return 1;
  }
  try {
    Judge judge{argv[1]};
    const auto findings = judge.judge(argc == 3 ? std::filesystem::path(argv[2]) : judge.module());
    for (const Finding& finding : findings) fmt::print("{}\n", text_of(finding));
    return after_output(findings.empty() ? 0 : 1);
  } catch (const std::exception& error) {
    fmt::print(stderr, "kpatch-judge: {}\n", error.what());
    return 1;
  }
}
