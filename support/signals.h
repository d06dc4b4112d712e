// SIGINT, SIGTERM and SIGHUP as an exception.
#pragma once

namespace kpatch {

// Thrown when SIGINT, SIGTERM or SIGHUP arrived: children are ended (whole process groups), temporary files go away
// by the destructors on the way out, main then ends with 128 + signal.
struct Interrupted {
  int signal;
};

// Installs the handlers; call once, first thing in main.
void handle_signals();
// Throws Interrupted when a signal has arrived; called in every long loop.
void check_interrupted();

// Readable once a signal has arrived, for poll; negative before handle_signals().
int signal_descriptor();

}  // namespace kpatch
