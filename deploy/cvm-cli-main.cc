// cvm-cli: the commands of the guide for confidential machines.
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "deploy/deploy.h"
#include "support/error.h"

int main(int argc, char** argv) {
  try {
    return kpatch::run_guide(argc, argv);
  } catch (const std::exception& error) {
    std::fputs(fmt::format("error: {}\n", error.what()).c_str(), stderr);
    return kpatch::exit_error;
  }
}
