// Signals that end a run
//
// What is half made must be removed, and children ended, which a signal handler may not do. It only notes the signal and
// makes a pipe readable:
//
//     SIGTERM ── on_signal ─┬─ arrived_signal ── check_interrupted() throws, in every long loop
//                           └─ the pipe ──────── a wait for output of commands ends at once (process.cc)
//
// Every wait watches that pipe, so there is no window in which a signal is seen late, and nothing unsafe runs inside the
// handler.
#include "support/signals.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "support/error.h"

namespace kpatch {
namespace {

// The one thing a signal handler can reach. Set once, never reset: a run that was stopped stays stopped.
volatile sig_atomic_t arrived_signal = 0;
int signal_pipe[2] = {-1, -1};

void on_signal(int signal) {
  int saved = errno;
  arrived_signal = signal;
  if (signal_pipe[1] >= 0 && write(signal_pipe[1], "!", 1) < 0) {
    // A full pipe is readable already.
  }
  errno = saved;
}

}  // namespace

void handle_signals() {
  if (signal_pipe[0] < 0 && pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
    throw Error(fmt::format("can't make a pipe: {}", std::strerror(errno)));
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before = {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);  // nohup stays nohup
  }
  signal(SIGPIPE, SIG_IGN);
}

void check_interrupted() {
  if (arrived_signal) throw Interrupted{arrived_signal};
}

int signal_descriptor() { return signal_pipe[0]; }

}  // namespace kpatch
